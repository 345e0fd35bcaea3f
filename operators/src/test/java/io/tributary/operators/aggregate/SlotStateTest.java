// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.model.ModelShard;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.memory.MemCheckpointStreamFactory;
import org.apache.flink.streaming.api.operators.OperatorSnapshotFinalizer;
import org.apache.flink.streaming.api.operators.OperatorSnapshotFutures;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Steps write over memory that a checkpoint may still be writing. */
class SlotStateTest extends OptimizerRounds {

    /** Several chunks, the third with the end of one tensor and the beginning of the next. */
    private static SafetensorsHeader large() {
        return TestModels.header(
                SafetensorsHeader.tensor("a", DType.F32, 2500),
                SafetensorsHeader.tensor("b", DType.BF16, 700),
                SafetensorsHeader.tensor("c", DType.F64, 900));
    }

    @ParameterizedTest
    @ValueSource(strings = {"fedavgm", "fedadam", "fedyogi"})
    void aCheckpointHoldsWhatWasThereWhenItBegan(String name) throws Exception {
        use(large(), UpdateKind.WEIGHTS, Algorithm.named(name, Map.of()));
        shardElements = 1 << 13;
        OperatorSnapshotFutures begun;
        double[] third;
        double[] fourth;
        try (var top = top()) {
            round(top, 1);
            // Rejected, so that memory has changed its turn.
            round(top, REJECTED);
            begun =
                    top.getOperator()
                            .snapshotState(
                                    1,
                                    1,
                                    CheckpointOptions.forCheckpointWithDefaultLocation(),
                                    new MemCheckpointStreamFactory(1 << 24));
            third = round(top, 3);
            fourth = round(top, 4);
            OperatorSubtaskState written =
                    OperatorSnapshotFinalizer.create(begun).getJobManagerOwnedState();
            try (var restored = top(written)) {
                assertThat(round(restored, 3)).containsExactly(third);
                assertThat(round(restored, 4)).containsExactly(fourth);
            }
        }
        assertThat(third).isNotEqualTo(fourth);
    }

    private double[] round(
            KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, ModelShard> top,
            int round)
            throws Exception {
        write(round);
        send(top, round);
        int before = top.extractOutputValues().size();
        close(top, round);
        List<ModelShard> all = top.extractOutputValues();
        return publishAnew(all.subList(before, all.size()), round);
    }

    private double[] publishAnew(List<ModelShard> shards, int round) throws IOException {
        Files.deleteIfExists(models.version(new RoundId(round, 0)));
        return publish(shards, round);
    }
}
