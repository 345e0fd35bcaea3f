// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionWriter;
import io.tributary.node.Node;
import io.tributary.node.NodeSecret;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.clock.Clock;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.assertj.core.data.Offset;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An update that lies on another host, whose tensors are in another order than the model's. */
class RemoteUpdatesTest {

    private static final RoundId ROUND = new RoundId(1, 0);
    private static final int SHARD = 50_000;
    private static final int WEIGHT = 3;

    @TempDir Path temp;

    private Node node(String name, int localPort) throws IOException {
        return Node.start(
                new Node.Options(
                        name,
                        "127.0.0.1",
                        0,
                        localPort,
                        Files.createDirectories(temp.resolve(name)),
                        0),
                new NodeSecret("a secret of many letters"));
    }

    private static void know(Node one, Node other) throws IOException {
        other.join("127.0.0.1", one.address().getPort());
        Awaitility.await().until(() -> one.members().size() == 2);
    }

    /** As this host calls what lies on the other. */
    private PayloadRef region(Path update) throws IOException {
        byte[] bytes = Files.readAllBytes(update);
        try (RegionWriter writer =
                new RegionDirectory(temp.resolve("there"), 1 << 30)
                        .reserve("job/updates/00-x", bytes.length)
                        .orElseThrow()) {
            writer.write(0, ByteBuffer.wrap(bytes));
            writer.publish(0, "{}");
        }
        Path here = temp.resolve("here/job/updates/00-x.region");
        return new PayloadRef(here.toString(), 4096, bytes.length, 1, "there");
    }

    @Test
    void itsShardsAreReadAndOnlyThoseAlsoWhenTheAgentIsAnother() throws Exception {
        var a = SafetensorsHeader.tensor("a", DType.F32, 120_000);
        var b = SafetensorsHeader.tensor("b", DType.F32, 80_000);
        Path base = TestModels.write(temp.resolve("base"), TestModels.header(a, b), 1);
        Path update = TestModels.write(temp.resolve("update"), TestModels.header(b, a), 2);
        double[] values = TestModels.values(update);
        double[] expected = new double[values.length];
        System.arraycopy(values, 80_000, expected, 0, 120_000);
        System.arraycopy(values, 0, expected, 120_000, 80_000);

        Node here = node("here", 0);
        int port = here.localPort();
        Node there = node("there", 0);
        know(here, there);
        PayloadRef payload = region(update);
        ModelSpec spec = TestModels.spec(base, SHARD, UpdateKind.WEIGHTS);
        try (var leaf =
                new KeyedOneInputStreamOperatorTestHarness<>(
                        new PartialSumOperator(
                                spec,
                                PosixModelStore.at(temp.resolve("models")),
                                new PayloadStore.Place(temp.resolve("here").toString(), port),
                                Optional.empty(),
                                Clock.SYSTEM),
                        AggregatorOperator.KEY,
                        NodeShard.TYPE)) {
            leaf.open();
            fold(leaf, payload, 0);
            assertThat(here.fetchedBytes()).isLessThan(SHARD * 4L + 4 * 65_536);
            fold(leaf, payload, 1);

            here.close();
            here = node("here", port);
            know(here, there);
            fold(leaf, payload, 2);
            fold(leaf, payload, 3);

            assertThat(leaf.extractOutputValues()).hasSize(4);
            for (AggregatorInput output : leaf.extractOutputValues()) {
                FoldPartial partial = (FoldPartial) output;
                double[] sum = TestSums.values(spec.layout(), partial.shard(), partial.sum());
                for (int i = 0; i < sum.length; i++) {
                    assertThat(sum[i])
                            .isCloseTo(
                                    WEIGHT * expected[partial.shard() * SHARD + i],
                                    Offset.offset(1e-12));
                }
            }
        } finally {
            here.close();
            there.close();
        }
    }

    private static void fold(
            KeyedOneInputStreamOperatorTestHarness<NodeShard, AggregatorInput, AggregatorInput>
                    leaf,
            PayloadRef payload,
            int shard)
            throws Exception {
        leaf.processElement(new FoldUpdate("leaf", shard, ROUND, payload, WEIGHT, "t", true), 0);
        leaf.processElement(
                new CloseNode(
                        "leaf",
                        shard,
                        ROUND,
                        "top",
                        1,
                        new AggregatorInput.RoundEnd(ROUND, ROUND, 1, 1, Map.of(), 0)),
                0);
    }
}
