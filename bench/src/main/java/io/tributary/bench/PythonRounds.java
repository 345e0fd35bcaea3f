// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.FederationJob;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.MqttTransport;
import io.tributary.node.agent.FreePorts;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.PythonProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;

/** Whole rounds of a job whose trainers are processes in Python. */
final class PythonRounds {

    private static final String SCRIPT = "benchmarks/round_trainer.py";
    private static final long PATIENCE_SECONDS = 600;

    private PythonRounds() {}

    /**
     * Runs rounds over MQTT.
     *
     * @param regions where the job puts updates together
     * @return the seconds of each measured round, from when the last trainer has its model until
     *     the last one has the next
     */
    static List<Double> overMqtt(Load load, Mosquitto mosquitto, Path regions, Path work)
            throws Exception {
        PythonProcess python = PythonProcess.prepare("kafka", System.err::println);
        Path model = LiveRounds.model(work.resolve("model-0.safetensors"), load.params());
        AggregationGraph graph = LiveRounds.graph(load, model, regions);
        try (LocalFlink flink = LocalFlink.start(Optional.of(FreePorts.next()), work)) {
            Configuration configuration = load.backend().configuration();
            configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, load.checkpoints());
            flink.environment().configure(configuration);
            new FederationJob(
                            graph,
                            List.of(new MqttTransport(mosquitto.options(), load.staging(regions))),
                            load.publish())
                    .build(flink.environment());
            flink.submit(LiveRounds.JOB);
            List<ChildProcess> trainers = new ArrayList<>();
            try {
                List<String> groups = graph.topology().trainerGroups();
                for (int i = 0; i < load.trainers(); i++) {
                    trainers.add(
                            python.start(
                                    List.of(),
                                    SCRIPT,
                                    List.of(
                                            mosquitto.options().url(),
                                            LiveRounds.JOB,
                                            "t-" + i,
                                            groups.get(i % groups.size()),
                                            Integer.toString(1 + i)),
                                    work.resolve("t-%d.out".formatted(i))));
                }
                for (ChildProcess trainer : trainers) {
                    if (!trainer.await(PATIENCE_SECONDS) || trainer.exitCode().orElse(1) != 0) {
                        throw new IllegalStateException(
                                "a trainer in Python has failed:%n%s".formatted(trainer.logTail()));
                    }
                }
                flink.check();
                return seconds(load, trainers);
            } finally {
                trainers.forEach(ChildProcess::close);
            }
        }
    }

    private static List<Double> seconds(Load load, List<ChildProcess> trainers) throws IOException {
        Map<Integer, Long> last = new TreeMap<>();
        for (ChildProcess trainer : trainers) {
            for (String line : Files.readAllLines(trainer.log())) {
                String[] said = line.split(" ");
                last.merge(Integer.parseInt(said[0]), Long.parseLong(said[1]), Math::max);
            }
        }
        List<Double> seconds = new ArrayList<>();
        for (int round = load.warmUp() + 1; last.containsKey(round + 1); round++) {
            seconds.add((last.get(round + 1) - last.get(round)) / 1e9);
        }
        return seconds;
    }
}
