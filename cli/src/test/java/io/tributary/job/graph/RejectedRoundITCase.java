// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.TensorFile;
import io.tributary.node.PayloadStore;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.testbed.demo.Console;
import io.tributary.testbed.demo.RoundBoard;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.mqtt.BrokerOptions;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A round whose mean is not finite, though all of its updates are. */
@Timeout(180)
class RejectedRoundITCase {

    private static final long QUOTA = 1 << 28;

    /** 50000 in float16; twice that is beyond it. */
    private static final short HALF = (short) 0x7a1a;

    @TempDir Path temp;

    @Test
    void overSharedMemory() throws Exception {
        TestJob job = new TestJob("rejected", temp, 1);
        theModelOfBeforeGoesOn(
                job,
                new ShmTransport(new PayloadStore.Place(job.regions().toString()), QUOTA, 1),
                TrainerTransport.shm(job.regions(), 1));
    }

    @Test
    void overMqtt() throws Exception {
        TestJob job = new TestJob("rejected", temp, 1);
        try (EmbeddedBroker broker = EmbeddedBroker.start()) {
            theModelOfBeforeGoesOn(
                    job,
                    new MqttTransport(BrokerOptions.of(broker.url()), job.staging(QUOTA)),
                    TrainerTransport.mqtt(BrokerOptions.of(broker.url())));
        }
    }

    private void theModelOfBeforeGoesOn(
            TestJob job, JobTransport transport, TrainerTransport trainers) throws Exception {
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        Console console = new Console(new PrintStream(said, true, StandardCharsets.UTF_8), true);
        try (LocalFlink flink =
                        job.start(
                                1,
                                3,
                                transport,
                                new Configuration(),
                                Run.draw(),
                                UpdateKind.DELTA);
                AutoCloseable ignored =
                        transport.follow(
                                "rejected", new RoundBoard(console::status, console::model));
                TrainerClient client = job.client("t-1", trainers)) {
            client.join();
            for (short half : new short[] {HALF, HALF, 0}) {
                TrainingRound round = client.awaitRound(TestJob.PATIENCE).orElseThrow();
                assertThat(client.send(delta(round, half)).status()).isEqualTo(Status.COMMITTED);
            }
            assertThat(client.awaitRound(TestJob.PATIENCE)).isEmpty();
            // Names and ledgers come with the same checkpoint as the plan, and in any order.
            Awaitility.await().atMost(TestJob.PATIENCE).until(() -> Files.exists(file(3)));
            flink.check();
        }
        try (TensorFile initial = TensorFile.open(temp.resolve("rejected-0.safetensors"));
                TensorFile first = TensorFile.open(job.model(1))) {
            double[] before = SmallModel.values(initial, "half");
            double[] after = SmallModel.values(first, "half");
            for (int i = 0; i < before.length; i++) {
                assertThat(Math.abs(after[i] - 50_000 - before[i])).isLessThan(64);
            }
        }
        // Nothing of the second round is in a model, neither where it could not be nor elsewhere.
        assertThat(Files.readAllBytes(job.model(2))).isEqualTo(Files.readAllBytes(job.model(1)));
        try (TensorFile first = TensorFile.open(job.model(1));
                TensorFile third = TensorFile.open(job.model(3))) {
            assertThat(SmallModel.values(third, "half"))
                    .isEqualTo(SmallModel.values(first, "half"));
        }
        assertThat(ledger(1).rejected()).isEmpty();
        assertThat(ledger(2).rejected()).contains("'half'", "Inf");
        assertThat(ledger(2).updates()).hasSize(1);
        assertThat(ledger(3).rejected()).isEmpty();
        assertThat(said.toString(StandardCharsets.UTF_8).lines())
                .singleElement()
                .asString()
                .startsWith("round  2  its model is rejected, the one before goes on: ")
                .contains("'half'");
    }

    private RoundLedger ledger(int round) throws Exception {
        return Json.decode(Files.readAllBytes(file(round)), RoundLedger.class);
    }

    private Path file(int round) {
        return PosixModelStore.at(temp.resolve("rejected")).ledger(round);
    }

    private static ModelUpdate delta(TrainingRound round, short half) {
        ModelUpdate update = round.newUpdate();
        for (var tensor : round.header().tensors()) {
            ByteBuffer bytes = update.bytes(tensor.name()).order(ByteOrder.LITTLE_ENDIAN);
            while (bytes.remaining() >= 2 && tensor.name().equals("half")) {
                bytes.putShort(half);
            }
            while (bytes.hasRemaining()) {
                bytes.put((byte) 0);
            }
        }
        return update.samples(3);
    }
}
