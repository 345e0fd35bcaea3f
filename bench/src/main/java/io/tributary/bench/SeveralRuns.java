// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.bench.Bench.BenchPath;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.protocol.Json;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.JavaProcess;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Paths that are measured several times, each in a process of its own and one after the other, so
 * that no run profits from the one before and a machine that changes its speed does so for all.
 */
final class SeveralRuns {

    /** What a path answers with when something that it needs is missing. */
    private static final int NOT_HERE = 2;

    private final Machine machine;
    private final List<BenchPath> paths;
    private final int runs;
    private final List<String> options;

    /**
     * @param machine where it runs
     * @param options of {@code bench}, for each path
     */
    SeveralRuns(Machine machine, List<BenchPath> paths, int runs, List<String> options) {
        this.machine = machine;
        this.paths = paths;
        this.runs = runs;
        this.options = options;
    }

    Report run() throws IOException {
        Map<String, String> leftOut = new LinkedHashMap<>();
        Map<String, String> failed = new LinkedHashMap<>();
        List<List<Figure>> all = new ArrayList<>();
        try (WorkDirectory work = WorkDirectory.create("bench")) {
            for (int run = 1; run <= runs; run++) {
                List<Figure> figures = new ArrayList<>();
                for (BenchPath path : paths) {
                    if (!leftOut.containsKey(path.option()) && !failed.containsKey(path.option())) {
                        System.err.printf(
                                "tributary: %s, run %d of %d%n", path.option(), run, runs);
                        Path file = work.path().resolve(path + "-" + run);
                        measure(path, file, figures, leftOut, failed);
                    }
                }
                all.add(figures);
            }
        }
        return new Report(machine, all, leftOut, failed);
    }

    private void measure(
            BenchPath path,
            Path file,
            List<Figure> figures,
            Map<String, String> leftOut,
            Map<String, String> failed)
            throws IOException {
        Path json = Path.of(file + ".json");
        List<String> arguments = new ArrayList<>(options);
        arguments.addAll(List.of("--path", path.option(), "--json", json.toString()));
        try (ChildProcess process =
                JavaProcess.start(
                        JavaProcess.Command.here(
                                ManagementFactory.getRuntimeMXBean().getInputArguments(),
                                Bench.class.getName(),
                                arguments),
                        file)) {
            process.await(Long.MAX_VALUE);
            int code = process.exitCode().orElse(1);
            if (code == 0) {
                Json.decode(Files.readAllBytes(json), Report.class).runs().forEach(figures::addAll);
            } else if (code == NOT_HERE) {
                leftOut.put(path.option(), reason(process));
            } else {
                failed.put(path.option(), reason(process));
            }
        }
    }

    /** What it said last, without where in the code. */
    private static String reason(ChildProcess process) {
        return process.logTail()
                .replaceFirst("(?s).*tributary: ", "")
                .replaceFirst("(?s)\\n\\tat .*", "")
                .strip();
    }
}
