// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.cli.command.UsageException;
import io.tributary.job.graph.WorkDirectory;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** How long the launcher's commands take from their start, beside a JVM that says its version. */
final class StartBench {

    private static final String LIMIT = "java -version";

    private final int repeats;

    StartBench(int repeats) {
        this.repeats = repeats;
    }

    List<Figure> run() throws Exception {
        String home = System.getProperty("tributary.home", "");
        if (home.isEmpty()) {
            throw new UsageException("its commands are measured by './tributary bench' alone");
        }
        String tributary = Path.of(home, "tributary").toString();
        List<Double> versions = new ArrayList<>();
        List<Double> aggregates = new ArrayList<>();
        List<Double> demos = new ArrayList<>();
        try (WorkDirectory work = WorkDirectory.create("bench")) {
            Path update = LiveRounds.model(work.path().resolve("update.safetensors"), 3);
            for (int repeat = 0; repeat < repeats; repeat++) {
                versions.add(seconds("version", "java", "-version"));
                aggregates.add(
                        seconds(
                                "the mean of",
                                tributary,
                                "aggregate",
                                "--out",
                                work.path().resolve("mean-" + repeat).toString(),
                                update + ":1",
                                update + ":2"));
                demos.add(seconds("round  1", tributary, "demo", "--rounds", "1"));
            }
        }
        return List.of(
                Figure.less("aggregate of two files of three elements", "s", aggregates)
                        .beside(LIMIT, versions),
                Figure.less("demo, to the end of its first round", "s", demos)
                        .beside(LIMIT, versions));
    }

    /** Until it has said something; then it may come to its end. */
    private static double seconds(String said, String... command)
            throws IOException, InterruptedException {
        long start = System.nanoTime();
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        StringBuilder all = new StringBuilder();
        double seconds = 0;
        try (BufferedReader output = process.inputReader()) {
            for (String line = output.readLine(); line != null; line = output.readLine()) {
                all.append(line).append(System.lineSeparator());
                if (seconds == 0 && line.contains(said)) {
                    seconds = (System.nanoTime() - start) / 1e9;
                }
            }
        }
        if (process.waitFor() != 0 || seconds == 0) {
            throw new IllegalStateException(
                    "%s: expected '%s', it said:%n%s"
                            .formatted(String.join(" ", Stream.of(command).toList()), said, all));
        }
        return seconds;
    }
}
