// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import io.tributary.node.agent.FreePorts;
import io.tributary.transport.kafka.KafkaOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.Uuid;

/**
 * A Kafka broker, a KRaft node of its own, that can be killed and started again on the same port
 * and data.
 */
public final class KafkaProcess implements AutoCloseable {

    private static final long START_SECONDS = 60;

    private final Path directory;
    private final int port;
    private final Access access;
    private ChildProcess process;

    private KafkaProcess(Path directory, int port, Access access) {
        this.access = access;
        this.directory = directory;
        this.port = port;
    }

    /** Makes and starts a broker on free ports. */
    public static KafkaProcess start(Path directory) {
        return start(directory, new Access("PLAINTEXT", "", Map.of()));
    }

    /**
     * Whom a broker lets in.
     *
     * @param protocol of its listener
     * @param settings lines of its configuration
     * @param client what a client of its operator shows
     */
    public record Access(String protocol, String settings, Map<String, String> client) {}

    /** Makes and starts a broker that asks its clients who they are. */
    public static KafkaProcess start(Path directory, Access access) {
        KafkaProcess kafka = new KafkaProcess(directory, FreePorts.next(), access);
        kafka.format();
        kafka.restart();
        return kafka;
    }

    private void format() {
        int controller = FreePorts.next();
        String properties =
                """
                process.roles=broker,controller
                node.id=1
                controller.quorum.voters=1@127.0.0.1:%1$d
                listeners=%5$s://127.0.0.1:%2$d,CONTROLLER://127.0.0.1:%1$d
                advertised.listeners=%5$s://127.0.0.1:%2$d
                controller.listener.names=CONTROLLER
                inter.broker.listener.name=%5$s
                listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
                log.dirs=%3$s
                auto.create.topics.enable=false
                offsets.topic.replication.factor=1
                offsets.topic.num.partitions=4
                transaction.state.log.replication.factor=1
                transaction.state.log.min.isr=1
                transaction.state.log.num.partitions=4
                group.initial.rebalance.delay.ms=0
                %4$s
                """
                        .formatted(
                                controller,
                                port,
                                directory.resolve("data"),
                                access.settings(),
                                access.protocol());
        try {
            Files.createDirectories(directory);
            Files.writeString(directory.resolve("server.properties"), properties);
        } catch (IOException e) {
            throw new UncheckedIOException("Kafka cannot be configured", e);
        }
        ChildProcess format =
                run(
                        "kafka.tools.StorageTool",
                        List.of(
                                "format",
                                "-t",
                                Uuid.randomUuid().toString(),
                                "-c",
                                directory.resolve("server.properties").toString()));
        if (!format.await(START_SECONDS) || format.exitCode().orElse(1) != 0) {
            throw new IllegalStateException("Kafka's storage cannot be made:\n" + format.logTail());
        }
    }

    private ChildProcess run(String main, List<String> arguments) {
        return JavaProcess.start(
                JavaProcess.Command.here(
                        List.of("-Xmx512m", "-Dtributary.log=" + directory.resolve("kafka.log")),
                        main,
                        arguments),
                directory.resolve("kafka.out"));
    }

    /** Starts it again, and returns when it answers. */
    public void restart() {
        process = run("kafka.Kafka", List.of(directory.resolve("server.properties").toString()));
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (!answers()) {
            if (!process.alive() || System.nanoTime() > end) {
                process.kill();
                throw new IllegalStateException("Kafka does not start:\n" + process.logTail());
            }
        }
    }

    private boolean answers() {
        Properties client = options().client();
        client.put("request.timeout.ms", "1000");
        client.put("default.api.timeout.ms", "1000");
        try (Admin admin = Admin.create(client)) {
            return !admin.describeCluster().nodes().get(2, TimeUnit.SECONDS).isEmpty();
        } catch (ExecutionException | TimeoutException e) {
            return false;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** How to reach it. */
    public KafkaOptions options() {
        return new KafkaOptions("127.0.0.1:" + port, access.client());
    }

    /** Ends it as a crash would; data and port stay. */
    public void kill() {
        process.kill();
    }

    @Override
    public void close() {
        process.close();
    }
}
