// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** Runs {@link KernelBenchmark} by JMH. */
final class KernelBench {

    private KernelBench() {}

    static List<Figure> run(int params, int updates, Path directory, Effort effort)
            throws RunnerException {
        Options options =
                new OptionsBuilder()
                        .include(KernelBenchmark.class.getName())
                        .param("params", Integer.toString(params))
                        .param("updates", Integer.toString(updates))
                        .param("directory", directory.resolve("bench").toString())
                        .warmupTime(TimeValue.milliseconds(effort.of(300, 1000)))
                        .measurementIterations(effort.of(3, 5))
                        .measurementTime(TimeValue.milliseconds(effort.of(300, 1000)))
                        .verbosity(VerboseMode.SILENT)
                        .build();
        Collection<RunResult> results = new Runner(options).run();
        Map<String, Double> speed = new TreeMap<>();
        for (RunResult result : results) {
            double nanos = result.getPrimaryResult().getScore();
            speed.put(result.getPrimaryResult().getLabel(), 4.0 * params * updates / nanos);
        }
        List<Double> axpy = List.of(speed.get("axpy"));
        return List.of(
                figure("fold, updates that come one at a time", speed.get("foldOne"), axpy),
                figure("fold, four that wait together", speed.get("foldFour"), axpy),
                figure("fold, eight that wait together", speed.get("foldEight"), axpy),
                figure("fold, eight, in Java", speed.get("foldEightInJava"), axpy),
                figure("looking for what is not finite", speed.get("scan"), axpy));
    }

    private static Figure figure(String name, double speed, List<Double> axpy) {
        return Figure.more(name, "GB/s", List.of(speed)).beside(Axpy.NAME, axpy);
    }
}
