// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.cli.testutils.Mosquitto;
import io.tributary.node.agent.FreePorts;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.BrokerRejectedException;
import io.tributary.transport.mqtt.BrokerUnavailableException;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import org.eclipse.paho.mqttv5.client.MqttClient;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Passwords and TLS, against a broker that insists on them. */
@Timeout(60)
class BrokerSecurityITCase {

    private static final Duration BRIEF = Duration.ofSeconds(1);

    @TempDir Path temp;

    private void run(String... command) throws Exception {
        Process process =
                new ProcessBuilder(command)
                        .directory(temp.toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(temp.resolve("output").toFile())
                        .start();
        assertThat(process.waitFor()).as(String.join(" ", command)).isZero();
    }

    private void certificate(String name, String subject) throws Exception {
        certificate(name, subject, "IP:127.0.0.1");
    }

    private void certificate(String name, String subject, String of) throws Exception {
        run(
                Mosquitto.executable("openssl"),
                "req",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                name + ".key",
                "-out",
                name + ".csr",
                "-subj",
                subject);
        Files.writeString(temp.resolve("ext"), "subjectAltName=%s\n".formatted(of));
        run(
                Mosquitto.executable("openssl"),
                "x509",
                "-req",
                "-in",
                name + ".csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-out",
                name + ".pem",
                "-days",
                "2",
                "-extfile",
                "ext");
    }

    private static void roundTrip(BrokerOptions broker) throws Exception {
        BlockingQueue<String> received = new ArrayBlockingQueue<>(1);
        try (MqttLink link =
                MqttLink.connect(
                        broker,
                        new MqttLink.Settings("client", 10, Optional.empty()),
                        message -> {
                            received.add(message.properties().get("k"));
                            message.done().run();
                        })) {
            link.subscribe(List.of("x/+"));
            link.publish(new Publication("x/y", new byte[] {1}, Map.of("k", "v"), false));
            assertThat(received.poll(10, TimeUnit.SECONDS)).isEqualTo("v");
        }
    }

    @Test
    void anOversizedMessageStaysAtTheBroker() throws Exception {
        BlockingQueue<Integer> received = new ArrayBlockingQueue<>(2);
        try (EmbeddedBroker broker = EmbeddedBroker.start();
                MqttLink link =
                        MqttLink.connect(
                                BrokerOptions.of(broker.url()),
                                new MqttLink.Settings("client", 10, Optional.empty()),
                                message -> {
                                    received.add(message.payload().length);
                                    message.done().run();
                                })) {
            link.subscribe(List.of("x/+"));
            MqttClient unbounded =
                    new MqttClient(
                            "tcp://127.0.0.1:" + broker.port(),
                            "unbounded",
                            new MemoryPersistence());
            unbounded.connect();
            unbounded.publish("x/y", new byte[3 << 20], 1, false);
            unbounded.disconnect();
            unbounded.close();
            link.publish(new Publication("x/y", new byte[1 << 20], Map.of(), false));
            assertThat(received.poll(10, TimeUnit.SECONDS)).isEqualTo(1 << 20);
        }
    }

    @Test
    void userNameAndPassword() throws Exception {
        run(
                Mosquitto.executable("mosquitto_passwd"),
                "-c",
                "-b",
                temp.resolve("passwords").toString(),
                "ada",
                "secret");
        int port = FreePorts.next();
        try (Mosquitto broker =
                Mosquitto.start(
                        port, "allow_anonymous false", "password_file " + temp + "/passwords")) {
            BrokerOptions options =
                    BrokerOptions.of("mqtt://127.0.0.1:" + port).withPatience(BRIEF);
            roundTrip(options.withPassword("ada", "secret"));
            assertThatThrownBy(() -> roundTrip(options.withPassword("ada", "wrong")))
                    .isInstanceOf(BrokerRejectedException.class)
                    .hasMessageContaining("broker mqtt://127.0.0.1:" + port)
                    .hasMessageContaining("rejects user 'ada'");
        }
    }

    private void authority() throws Exception {
        run(
                Mosquitto.executable("openssl"),
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "ca.key",
                "-out",
                "ca.pem",
                "-subj",
                "/CN=test-ca",
                "-days",
                "2");
    }

    /** Paho alone cannot: it shows the server its name, and an address is none. */
    @ParameterizedTest
    @CsvSource({"IP:::1, true", "IP:127.0.0.1, false"})
    void tlsToAnIpv6Address(String certified, boolean right) throws Exception {
        authority();
        certificate("server", "/CN=broker", certified);
        int port = FreePorts.next();
        int tls = FreePorts.next();
        try (Mosquitto broker =
                Mosquitto.start(
                        port,
                        "allow_anonymous true",
                        "listener %d ::1".formatted(tls),
                        "cafile " + temp + "/ca.pem",
                        "certfile " + temp + "/server.pem",
                        "keyfile " + temp + "/server.key")) {
            BrokerOptions trusting =
                    BrokerOptions.of("mqtts://[::1]:" + tls)
                            .withPatience(BRIEF)
                            .withCaFile(temp + "/ca.pem");
            if (right) {
                roundTrip(trusting);
            } else {
                assertThatThrownBy(() -> roundTrip(trusting))
                        .isInstanceOf(BrokerUnavailableException.class)
                        .hasMessageContaining("subject alternative names matching IP address");
            }
        }
    }

    @Test
    void tlsWithAClientCertificate() throws Exception {
        authority();
        certificate("server", "/CN=127.0.0.1");
        certificate("client", "/CN=trainer");
        int port = FreePorts.next();
        try (Mosquitto broker =
                Mosquitto.start(
                        port,
                        "allow_anonymous true",
                        "cafile " + temp + "/ca.pem",
                        "certfile " + temp + "/server.pem",
                        "keyfile " + temp + "/server.key",
                        "require_certificate true")) {
            BrokerOptions trusting =
                    BrokerOptions.of("mqtts://127.0.0.1:" + port)
                            .withPatience(BRIEF)
                            .withCaFile(temp + "/ca.pem");
            roundTrip(trusting.withCertificate(temp + "/client.pem", temp + "/client.key"));
            assertThatThrownBy(() -> roundTrip(trusting))
                    .isInstanceOf(BrokerUnavailableException.class);
            assertThatThrownBy(
                            () ->
                                    roundTrip(
                                            BrokerOptions.of("mqtts://127.0.0.1:" + port)
                                                    .withPatience(BRIEF)))
                    .isInstanceOf(BrokerUnavailableException.class)
                    .hasMessageContaining("certification path");
        }
    }

    @Test
    void aBrokerThatIsNotThereIsSaidSo() {
        int port = FreePorts.next();
        assertThatThrownBy(
                        () ->
                                roundTrip(
                                        BrokerOptions.of("mqtt://127.0.0.1:" + port)
                                                .withPatience(BRIEF)))
                .isInstanceOf(BrokerUnavailableException.class)
                .hasMessageContaining("no connection within 1 s (Connection refused");
    }
}
