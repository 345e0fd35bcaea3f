// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.types;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.NodeShard;
import io.tributary.operators.aggregate.PartialSum;
import io.tributary.operators.aggregate.RunWeights;
import io.tributary.operators.coordinator.CoordinatorOutputs;
import io.tributary.operators.model.ModelShard;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.TrainerEvent;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SerializersTest {

    private static final RoundId ROUND = new RoundId(4, RoundId.epoch(2, -7));

    private static final RoundId BASE = new RoundId(3, 1);

    static Stream<Arguments> values() {
        PayloadRef payload = new PayloadRef("/dev/shm/x", 4096, 1L << 35, 1);
        return Stream.of(
                Arguments.of(
                        AggregatorInput.TYPE,
                        new AggregatorInput.FoldUpdate(
                                "leaf", 7, ROUND, payload, 0.25, 1L << 40, "t", true)),
                Arguments.of(
                        AggregatorInput.TYPE,
                        new AggregatorInput.CloseNode(
                                "leaf",
                                7,
                                ROUND,
                                "top",
                                3,
                                new AggregatorInput.RoundEnd(
                                        ROUND, BASE, 3, 3, Map.of("h", 0.5), 99))),
                Arguments.of(AggregatorInput.TYPE, new AggregatorInput.DropRound("leaf", 7, ROUND)),
                Arguments.of(
                        AggregatorInput.TYPE,
                        new AggregatorInput.FoldPartial(
                                "leaf",
                                7,
                                ROUND,
                                RunWeights.same(3, 0.5, 2),
                                new PartialSum.Inline(bytes()))),
                Arguments.of(
                        AggregatorInput.TYPE,
                        new AggregatorInput.FoldPartial(
                                "leaf",
                                7,
                                ROUND,
                                RunWeights.same(3, 0.5, 2),
                                new PartialSum.InRegion(payload))),
                Arguments.of(
                        ModelShard.TYPE,
                        new ModelShard(
                                ROUND,
                                BASE,
                                3,
                                new byte[] {1, 2},
                                Optional.of(payload),
                                "flaw",
                                5)),
                Arguments.of(NodeShard.TYPE, new NodeShard("leaf/ü", 12)),
                Arguments.of(
                        CoordinatorOutputs.EVENT,
                        new TrainerEvent.InputRejected(
                                new DeadLetter("s", "t", 1, 0, RejectReason.LATE, "x"), true, 3)));
    }

    private static byte[] bytes() {
        byte[] values = new byte[200_000];
        for (int i = 0; i < values.length; i++) {
            values[i] = (byte) (i * i);
        }
        return values;
    }

    @ParameterizedTest
    @MethodSource("values")
    <T> void valuesComeBackAndCopiesAreTheSame(TypeInformation<T> type, T value) throws Exception {
        TypeSerializer<T> serializer = type.createSerializer(new SerializerConfigImpl());
        DataOutputSerializer out = new DataOutputSerializer(64);
        serializer.serialize(value, out);
        out.writeInt(42);
        DataInputDeserializer in = new DataInputDeserializer(out.getCopyOfBuffer());

        T back = serializer.deserialize(in);

        assertThat(back).usingRecursiveComparison().isEqualTo(value);
        assertThat(in.readInt()).as("what follows").isEqualTo(42);
        DataOutputSerializer copied = new DataOutputSerializer(64);
        serializer.copy(new DataInputDeserializer(out.getCopyOfBuffer()), copied);
        assertThat(serializer.deserialize(new DataInputDeserializer(copied.getCopyOfBuffer())))
                .usingRecursiveComparison()
                .isEqualTo(value);
    }

    @ParameterizedTest
    @MethodSource("values")
    <T> void snapshotsRestoreTheSameSerializer(TypeInformation<T> type, T value) throws Exception {
        TypeSerializer<T> serializer = type.createSerializer(new SerializerConfigImpl());
        DataOutputSerializer out = new DataOutputSerializer(64);
        TypeSerializerSnapshot.writeVersionedSnapshot(out, serializer.snapshotConfiguration());

        TypeSerializerSnapshot<T> read =
                TypeSerializerSnapshot.readVersionedSnapshot(
                        new DataInputDeserializer(out.getCopyOfBuffer()),
                        getClass().getClassLoader());

        assertThat(read.restoreSerializer()).isEqualTo(serializer);
        assertThat(
                        serializer
                                .snapshotConfiguration()
                                .resolveSchemaCompatibility(read)
                                .isCompatibleAsIs())
                .isTrue();
    }
}
