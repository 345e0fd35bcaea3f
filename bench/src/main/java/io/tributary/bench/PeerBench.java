// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.bench.Load.Arrivals;
import io.tributary.job.graph.Publish;
import io.tributary.job.graph.WorkDirectory;
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
     * @param load rounds of ours
     * @param flowerRounds measured rounds of Flower
     * @param python whose packages have Flower
     */
    PeerBench(Load load, int flowerRounds, String python, Path parent) {
        this.load =
                load.run(
                        load.warmUp(),
                        load.rounds(),
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
                Figure.less("whole round over MQTT", "s", overMqtt()).beside("Flower", flower),
                Figure.less("whole round over MQTT, trainers in Python", "s", inPython())
                        .beside("Flower", flower));
    }

    private List<Double> flower() throws IOException, InterruptedException {
        try (WorkDirectory work = WorkDirectory.create("bench");
                FlowerProcesses flower =
                        new FlowerProcesses(python, work.path(), load.trainers())) {
            return flower.seconds(load.params(), FLOWER_WARM_UP + flowerRounds).stream()
                    .skip(FLOWER_WARM_UP)
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
        try (WorkDirectory work = WorkDirectory.create("bench");
                Mosquitto mosquitto = new Mosquitto(work.path())) {
            return mosquitto.run(load, parent).wholeSeconds();
        }
    }

    private List<Double> inPython() throws Exception {
        try (WorkDirectory regions = WorkDirectory.create(parent, "bench");
                WorkDirectory work = WorkDirectory.create("bench");
                Mosquitto mosquitto = new Mosquitto(work.path())) {
            return PythonRounds.overMqtt(load, mosquitto, regions.path(), work.path());
        }
    }
}
