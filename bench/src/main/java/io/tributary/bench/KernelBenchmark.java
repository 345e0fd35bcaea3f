// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.memory.kernel.Columns;
import io.tributary.memory.kernel.FoldKernel;
import io.tributary.memory.kernel.Memory;
import io.tributary.memory.kernel.PrivateMemory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.operators.model.ModelSpec;
import io.tributary.protocol.tensor.DType;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The fold of updates that lie in regions, together larger than any cache, by one thread. Each
 * operation reads all updates once.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(
        value = 1,
        jvmArgsAppend = {"-Xmx1g", "-Djava.awt.headless=true"})
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class KernelBenchmark {

    private static final int SHARD = ModelSpec.DEFAULT_SHARD_ELEMENTS;

    @Param("11700000")
    private int params;

    @Param("8")
    private int updates;

    @Param(TrustedDirectory.DEFAULT + "/bench")
    private String directory;

    private final List<OwnedRegion> regions = new ArrayList<>();
    private final Columns columns = new Columns();
    private final FoldKernel java = FoldKernel.all().get(0);
    private final Axpy limit = Axpy.compile();
    private Memory narrowSum;
    private Memory sum;

    /** Writes the updates. */
    @Setup(Level.Trial)
    public void write() throws IOException {
        RegionDirectory all = new RegionDirectory(TrustedDirectory.of(directory), Long.MAX_VALUE);
        for (int u = 0; u < updates; u++) {
            OwnedRegion region =
                    all.own(RegionDirectory.unique("kernel"), 4L * params).orElseThrow();
            FloatBuffer floats = region.memory().slice(0, 4 * params).asFloatBuffer();
            for (int i = 0; i < params; i++) {
                floats.put(i, (i + u) % 1000 * 1e-3f - 0.5f);
            }
            regions.add(region);
        }
        narrowSum = new PrivateMemory(Float.BYTES * params);
        narrowSum.clear();
        sum = new PrivateMemory(Double.BYTES * params);
        sum.clear();
    }

    /** Removes them. */
    @TearDown(Level.Trial)
    public void remove() throws IOException {
        regions.forEach(OwnedRegion::delete);
        Files.deleteIfExists(Path.of(directory, ".lock"));
    }

    /** The limit: a float32 axpy in C, a whole update in one call. */
    @Benchmark
    public void axpy() {
        for (OwnedRegion region : regions) {
            limit.add(region.memory(), narrowSum, params);
        }
    }

    /** Looking for values that are not finite, and nothing else. */
    @Benchmark
    public void scan() {
        for (OwnedRegion region : regions) {
            if (!FoldKernel.best().finite(DType.F32, region.memory(), 0, params)) {
                throw new IllegalStateException("the benchmark's values are finite");
            }
        }
    }

    /** As the operator folds updates that come one at a time, shard by shard. */
    @Benchmark
    public void foldOne() {
        fold(FoldKernel.best(), 1);
    }

    /** As it folds four that wait together. */
    @Benchmark
    public void foldFour() {
        fold(FoldKernel.best(), 4);
    }

    /** As it folds eight. */
    @Benchmark
    public void foldEight() {
        fold(FoldKernel.best(), Columns.MAX);
    }

    /** The same in Java. */
    @Benchmark
    public void foldEightInJava() {
        fold(java, Columns.MAX);
    }

    private void fold(FoldKernel kernel, int together) {
        for (int first = 0; first < updates; first += together) {
            for (int at = 0; at < params; at += SHARD) {
                columns.clear();
                for (int u = first; u < Math.min(updates, first + together); u++) {
                    columns.add(regions.get(u).memory(), 4L * at, 3);
                }
                kernel.fold(DType.F32, columns, sum, 8L * at, false, Math.min(SHARD, params - at));
            }
        }
    }
}
