// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.cli.testutils.DelayingProxy;
import io.tributary.cli.testutils.Mosquitto;
import io.tributary.cli.testutils.TestJob;
import io.tributary.node.agent.FreePorts;
import io.tributary.protocol.message.Receipt;
import io.tributary.sources.base.sink.Egress;
import io.tributary.sources.mqtt.sink.MqttEgress;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.trainer.TrainingRound;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.BrokerRejectedException;
import io.tributary.transport.mqtt.BrokerUnavailableException;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a broker says of itself, and how it rejects a client, is listened to. */
class BrokerLimitsITCase {

    private static final String OPEN = "allow_anonymous true";

    @TempDir Path temp;

    private final int port = FreePorts.next();

    private BrokerOptions options() {
        return options("mqtt://127.0.0.1:" + port);
    }

    private static BrokerOptions options(String url) {
        return BrokerOptions.of(url).withPatience(Duration.ofSeconds(3));
    }

    private static MqttLink link(BrokerOptions broker) {
        return MqttLink.connect(
                broker,
                new MqttLink.Settings("client", 10, Optional.empty()),
                message -> message.done().run());
    }

    /** Several publish on one link, to a broker that lets it have one message under way. */
    @Test
    void noMoreIsUnderWayThanTheBrokerAllows() throws Exception {
        try (Mosquitto ignored = Mosquitto.start(port, OPEN, "max_inflight_messages 1");
                MqttLink link = link(options())) {
            List<CompletableFuture<Void>> all =
                    IntStream.range(0, 4)
                            .mapToObj(
                                    i ->
                                            CompletableFuture.runAsync(
                                                    () ->
                                                            link.publish(
                                                                    IntStream.range(0, 100)
                                                                                    .mapToObj(
                                                                                            n ->
                                                                                                    new Publication(
                                                                                                            "t/"
                                                                                                                    + i,
                                                                                                            new byte
                                                                                                                    [10_000],
                                                                                                            Map
                                                                                                                    .of(),
                                                                                                            false))
                                                                            ::iterator)))
                            .toList();
            for (CompletableFuture<Void> one : all) {
                one.get();
            }
            assertThat(link.connections()).as("never broken").isEqualTo(1);
        }
    }

    /** A model and updates of 160 KB, by packets of at most 60 kB, one at a time. */
    @Test
    void chunksAreCutSoThatTheyFit() throws Exception {
        TestJob job = new TestJob("cut", temp, 1);
        BrokerOptions broker = BrokerOptions.of("mqtt://127.0.0.1:" + port);
        try (Mosquitto ignored =
                        Mosquitto.start(
                                port, OPEN, "max_packet_size 60000", "max_inflight_messages 1");
                LocalFlink flink =
                        job.start(1, 2, new MqttTransport(broker, job.staging(1 << 28)));
                TrainerClient trainer = job.client("t-1", TrainerTransport.mqtt(broker))) {
            trainer.join();
            for (int round = 1; round <= 2; round++) {
                TrainingRound now = trainer.awaitRound(TestJob.PATIENCE).orElseThrow();
                Receipt receipt = trainer.send(TestJob.update(now, "t-1"));
                assertThat(receipt.status()).isEqualTo(Receipt.Status.COMMITTED);
                assertThat(receipt.contentId()).matches("[0-9a-f]{8}");
            }
            job.awaitModel(2);
            assertThat(job.error(2, List.of("t-1"))).isLessThan(1e-6);
            flink.check();
        }
    }

    @ParameterizedTest
    @CsvSource({
        "retain_available false, keeps no retained messages",
        "max_qos 0, does not take QoS 1",
        "max_packet_size 16000, 'takes packets of at most 16000 bytes, expected 17408 or more'"
    })
    void aBrokerThatLacksWhatIsNeededIsRejectedAtOnce(String setting, String words)
            throws Exception {
        try (Mosquitto ignored = Mosquitto.start(port, OPEN, setting)) {
            assertThatThrownBy(() -> link(options()))
                    .isInstanceOf(BrokerRejectedException.class)
                    .hasMessageContaining("127.0.0.1:" + port)
                    .hasMessageContaining(words);
        }
    }

    @Test
    void aMessageThatIsTooLargeIsNotSentForEver() throws Exception {
        try (Mosquitto ignored = Mosquitto.start(port, OPEN, "message_size_limit 1000");
                MqttLink link = link(options())) {
            assertThatThrownBy(
                            () ->
                                    link.publish(
                                            new Publication("x", new byte[2000], Map.of(), false)))
                    .isInstanceOf(BrokerUnavailableException.class)
                    .hasMessageContaining("larger than it allows");
        }
    }

    @Test
    void aTrainerThatMayNotSendUpdatesIsToldAtOnce() throws Exception {
        Path acl =
                Files.writeString(
                        temp.resolve("acl"),
                        "topic readwrite tributary/v1/denied/#\ntopic deny tributary/v1/denied/update/#\n");
        TestJob job = new TestJob("denied", temp, 1);
        BrokerOptions broker = options();
        try (Mosquitto ignored = Mosquitto.start(port, OPEN, "acl_file " + acl);
                LocalFlink flink =
                        job.start(1, 1, new MqttTransport(broker, job.staging(1 << 28)));
                TrainerClient trainer = job.client("t-1", TrainerTransport.mqtt(broker))) {
            trainer.join();
            TrainingRound round = trainer.awaitRound(TestJob.PATIENCE).orElseThrow();
            assertThatThrownBy(() -> trainer.send(TestJob.update(round, "t-1")))
                    .isInstanceOf(BrokerRejectedException.class)
                    .hasMessageContaining("does not let clients without a name publish to")
                    .hasMessageContaining("not authorized");
            flink.check();
        }
    }

    /** A broker of our own words: it lets nobody in, or ends what it has let in. */
    private static final class Scripted implements AutoCloseable {

        private final ServerSocket listening;
        private final AtomicInteger connections = new AtomicInteger();

        Scripted(byte[] answer) throws Exception {
            listening = new ServerSocket(0, 10, InetAddress.getLoopbackAddress());
            Thread thread =
                    new Thread(
                            () -> {
                                while (!listening.isClosed()) {
                                    try (Socket client = listening.accept()) {
                                        connections.incrementAndGet();
                                        InputStream in = client.getInputStream();
                                        in.readNBytes(20);
                                        client.getOutputStream().write(answer);
                                        client.getOutputStream().flush();
                                        in.skip(Integer.MAX_VALUE);
                                    } catch (java.io.IOException over) {
                                        // The next one, or the end.
                                    }
                                }
                            });
            thread.setDaemon(true);
            thread.start();
        }

        BrokerOptions options() {
            return BrokerLimitsITCase.options("mqtt://127.0.0.1:" + listening.getLocalPort());
        }

        @Override
        public void close() throws Exception {
            listening.close();
        }
    }

    private static byte[] connack(int reason) {
        return new byte[] {0x20, 3, 0, (byte) reason, 0};
    }

    @ParameterizedTest
    @ValueSource(ints = {0x88, 0x89, 0x97, 0x9F})
    void whatIsRejectedForNowIsTriedAgainAndSaid(int reason) throws Exception {
        try (Scripted broker = new Scripted(connack(reason))) {
            assertThatThrownBy(() -> link(broker.options()))
                    .isInstanceOf(BrokerUnavailableException.class)
                    .isNotInstanceOf(BrokerRejectedException.class)
                    .hasMessageContaining("(reason code 0x%02X)".formatted(reason));
            assertThat(broker.connections).hasValueGreaterThan(1);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0x84, 0x85, 0x86, 0x87, 0x8A, 0x9D})
    void whatIsRejectedForGoodIsSaidAtOnce(int reason) throws Exception {
        try (Scripted broker = new Scripted(connack(reason))) {
            assertThatThrownBy(() -> link(broker.options()))
                    .isInstanceOf(BrokerRejectedException.class)
                    .hasMessageContaining("(reason code 0x%02X)".formatted(reason));
            assertThat(broker.connections).hasValue(1);
        }
    }

    @Test
    void addressesMayBeIpv6() throws Exception {
        int other = FreePorts.next();
        try (Mosquitto ignored = Mosquitto.start(port, OPEN, "listener %d ::1".formatted(other));
                MqttLink link = link(options("mqtt://[::1]:" + other))) {
            link.publish(new Publication("x", new byte[1], Map.of(), false));
        }
    }

    /** The time that a broker takes to acknowledge passes once, not for each message. */
    @Test
    void manyReceiptsDoNotWaitForEachOther() throws Exception {
        try (Mosquitto ignored = Mosquitto.start(port, OPEN, "max_inflight_messages 0");
                DelayingProxy slow = new DelayingProxy(port, 20);
                Egress<Integer> egress =
                        MqttEgress.<Integer>factory(
                                        "receipts",
                                        options("mqtt://127.0.0.1:" + slow.port()),
                                        (number, any) ->
                                                List.of(
                                                        new Publication(
                                                                "receipt/" + number,
                                                                new byte[300],
                                                                Map.of(),
                                                                false)))
                                .open("test")) {
            long begin = System.nanoTime();
            long bytes = 0;
            for (int i = 0; i < 1000; i++) {
                bytes += egress.send(i);
            }
            bytes += egress.flush();
            Duration took = Duration.ofNanos(System.nanoTime() - begin);
            assertThat(bytes).isEqualTo(300_000);
            // One after the other they take more than 20 s.
            assertThat(took).isLessThan(Duration.ofSeconds(5));
        }
    }

    @Test
    void anEgressThatIsRejectedSaysSoToWhoeverSends() throws Exception {
        Path acl = Files.writeString(temp.resolve("acl"), "topic readwrite allowed\n");
        try (Mosquitto ignored = Mosquitto.start(port, OPEN, "acl_file " + acl);
                Egress<String> egress =
                        MqttEgress.<String>factory(
                                        "plans",
                                        options(),
                                        (topic, any) ->
                                                List.of(
                                                        new Publication(
                                                                topic,
                                                                new byte[1],
                                                                Map.of(),
                                                                false)))
                                .open("test")) {
            egress.send("allowed");
            egress.flush();
            egress.send("denied");
            assertThatThrownBy(egress::flush)
                    .as("no restart mends it")
                    .isInstanceOf(
                            org.apache.flink.runtime.execution.SuppressRestartsException.class)
                    .hasRootCauseInstanceOf(BrokerRejectedException.class);
        }
    }
}
