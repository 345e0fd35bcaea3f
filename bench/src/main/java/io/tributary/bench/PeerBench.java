// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.bench.Load.Arrivals;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.Publish;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.shm.agent.FreePorts;
import io.tributary.trainer.Transport;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * Whole rounds without training, from trainers having a round's model until they have the next
 * one's, beside Flower's on the same cores.
 */
final class PeerBench {

    private static final Duration CHECKPOINTS = Duration.ofMillis(200);
    private static final int FLOWER_WARM_UP = 1;

    private final Load load;
    private final int flowerRounds;
    private final String python;
    private final Path parent;

    /**
     * @param python whose packages have Flower
     */
    PeerBench(
            int params,
            int trainers,
            int levels,
            int warmUp,
            int rounds,
            int flowerRounds,
            String python,
            Path parent) {
        this.load =
                new Load(
                        params,
                        trainers,
                        levels,
                        warmUp,
                        rounds,
                        CHECKPOINTS,
                        Arrivals.WRITTEN_IN_TIME,
                        Publish.IMMEDIATE);
        this.flowerRounds = flowerRounds;
        this.python = python;
        this.parent = parent;
    }

    List<Figure> run() throws Exception {
        List<Double> flower = flower();
        return List.of(
                Figure.less("whole round over shared memory", "s", overSharedMemory())
                        .beside("Flower", flower),
                Figure.less("whole round over MQTT", "s", overMqtt()).beside("Flower", flower));
    }

    private List<Double> flower() throws IOException, InterruptedException {
        try (WorkDirectory work = WorkDirectory.create("bench");
                FlowerProcesses flower =
                        new FlowerProcesses(python, work.path(), load.trainers())) {
            List<FlowerProcesses.Round> rounds =
                    flower.run(load.params(), FLOWER_WARM_UP + flowerRounds);
            for (FlowerProcesses.Round round : rounds) {
                if (round.updates() != load.trainers()) {
                    throw new IllegalStateException(
                            "a round of Flower had %d of %d updates"
                                    .formatted(round.updates(), load.trainers()));
                }
            }
            return rounds.stream()
                    .skip(FLOWER_WARM_UP)
                    .map(FlowerProcesses.Round::seconds)
                    .toList();
        }
    }

    private List<Double> overSharedMemory() throws Exception {
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench")) {
            return LiveRounds.overSharedMemory(
                            load, regions.path(), work.path(), (flink, live) -> {})
                    .wholeSeconds();
        }
    }

    private List<Double> overMqtt() throws Exception {
        int port = FreePorts.next();
        BrokerOptions broker = BrokerOptions.of("tcp://127.0.0.1:" + port);
        try (WorkDirectory work = WorkDirectory.create("bench");
                WorkDirectory regions = WorkDirectory.create(parent, "bench")) {
            Process mosquitto = MqttBench.mosquitto(port, work.path());
            try {
                LiveRounds live =
                        new LiveRounds(
                                load,
                                new MqttTransport(broker, MqttBench.staging(load, regions.path())),
                                Transport.mqtt(broker));
                live.run(work.path(), regions.path(), (flink, rounds) -> {});
                return live.wholeSeconds();
            } finally {
                mosquitto.destroy();
                mosquitto.waitFor();
            }
        }
    }
}
