// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.shm.kernel.FoldKernel;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;

/** Runs {@link KernelBenchmark} by JMH. */
final class KernelBench {

    private KernelBench() {}

    static KernelReport run(int params, int updates, Path directory) throws RunnerException {
        Options options =
                new OptionsBuilder()
                        .include(KernelBenchmark.class.getName())
                        .param("params", Integer.toString(params))
                        .param("updates", Integer.toString(updates))
                        .param("directory", directory.resolve("bench").toString())
                        .verbosity(VerboseMode.SILENT)
                        .build();
        Collection<RunResult> results = new Runner(options).run();
        Map<String, Double> speed = new TreeMap<>();
        for (RunResult result : results) {
            double nanos = result.getPrimaryResult().getScore();
            speed.put(result.getPrimaryResult().getLabel(), 4.0 * params * updates / nanos);
        }
        double axpy = speed.get("axpy");
        return new KernelReport(
                "kernel",
                FoldKernel.best().name(),
                params,
                updates,
                axpy,
                speed.get("scan"),
                speed.get("foldOne"),
                speed.get("foldOne") / axpy,
                speed.get("foldFour"),
                speed.get("foldFour") / axpy,
                speed.get("foldEight"),
                speed.get("foldEight") / axpy,
                speed.get("foldEightInJava"),
                speed.get("foldEightInJava") / axpy);
    }
}
