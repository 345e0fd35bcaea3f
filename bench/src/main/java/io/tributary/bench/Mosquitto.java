// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.cli.command.UsageException;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.node.agent.FreePorts;
import io.tributary.trainer.TrainerTransport;
import io.tributary.transport.mqtt.BrokerOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Mosquitto as a process of its own, on the loopback. */
final class Mosquitto implements AutoCloseable {

    private final int port;
    private final Process process;

    /**
     * Starts it on a free port.
     *
     * @param work where its configuration is written
     * @throws UsageException where it is missing
     */
    Mosquitto(Path work) throws IOException {
        port = FreePorts.next();
        Path configuration = work.resolve("mosquitto.conf");
        Files.writeString(
                configuration,
                "listener %d 127.0.0.1%nallow_anonymous true%nmax_queued_messages 0%n"
                        .formatted(port));
        process =
                new ProcessBuilder(
                                Tool.find("mosquitto", "mosquitto").toString(),
                                "-c",
                                configuration.toString())
                        // It says what it does there.
                        .redirectError(ProcessBuilder.Redirect.DISCARD)
                        .start();
    }

    int port() {
        return port;
    }

    BrokerOptions options() {
        return BrokerOptions.of("mqtt://127.0.0.1:" + port);
    }

    /**
     * Runs rounds over it.
     *
     * @param parent where regions are made
     */
    LiveRounds run(Load load, Path parent) throws Exception {
        try (WorkDirectory work = WorkDirectory.create("bench");
                WorkDirectory regions = WorkDirectory.create(parent, "bench")) {
            LiveRounds live =
                    new LiveRounds(
                            load,
                            new MqttTransport(options(), load.staging(regions.path())),
                            TrainerTransport.mqtt(options()));
            live.run(work.path(), regions.path(), (flink, rounds) -> {});
            return live;
        }
    }

    @Override
    public void close() throws InterruptedException {
        process.destroy();
        process.waitFor();
    }
}
