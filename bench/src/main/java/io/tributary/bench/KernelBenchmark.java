// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.operators.aggregate.FloatKernel;
import io.tributary.operators.aggregate.FloatKernel.Weighted;
import io.tributary.operators.model.ModelSpec;
import io.tributary.shm.region.OwnedRegion;
import io.tributary.shm.region.RegionDirectory;
import io.tributary.shm.region.TrustedDirectory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.indexer.FloatIndexer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
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
    private static final int TOGETHER = 4;
    private static final int STRAYS = 4;

    @Param("11700000")
    private int params;

    @Param("8")
    private int updates;

    @Param(TrustedDirectory.DEFAULT + "/bench")
    private String directory;

    private final List<OwnedRegion> regions = new ArrayList<>();
    private final List<Long> addresses = new ArrayList<>();
    private final List<INDArray> vectors = new ArrayList<>();
    private INDArray sumVector;
    private ByteBuffer sum;
    private long sumAddress;

    /** Writes the updates. */
    @Setup(Level.Trial)
    public void write() throws IOException {
        Path path = TrustedDirectory.of(directory);
        RegionDirectory all = new RegionDirectory(path, Long.MAX_VALUE);
        // The first mappings fill holes of the address space, away from the others. In a job that
        // has run for a while, updates lie side by side.
        for (int i = 0; i < STRAYS; i++) {
            regions.add(all.own(RegionDirectory.unique("stray"), 4L * params).orElseThrow());
        }
        for (int u = 0; u < updates; u++) {
            OwnedRegion region =
                    all.own(RegionDirectory.unique("kernel"), 4L * params).orElseThrow();
            ByteBuffer bytes = region.memory().slice(0, 4 * params);
            FloatBuffer floats = bytes.asFloatBuffer();
            for (int i = 0; i < params; i++) {
                floats.put(i, (i + u) % 1000 * 1e-3f - 0.5f);
            }
            regions.add(region);
            addresses.add(FloatKernel.address(bytes));
            vectors.add(vector(floats));
        }
        sum = ByteBuffer.allocateDirect(4 * params).order(ByteOrder.LITTLE_ENDIAN);
        sumAddress = FloatKernel.address(sum);
        sumVector = vector(sum.asFloatBuffer());
    }

    private INDArray vector(FloatBuffer floats) {
        FloatPointer pointer = new FloatPointer(floats);
        return Nd4j.create(
                Nd4j.createBuffer(pointer, DataType.FLOAT, params, FloatIndexer.create(pointer)),
                new long[] {params});
    }

    /** Removes them. */
    @TearDown(Level.Trial)
    public void remove() throws IOException {
        regions.forEach(OwnedRegion::delete);
        Files.deleteIfExists(Path.of(directory, ".lock"));
    }

    /** The limit: ND4J's axpy, a whole update in one call. */
    @Benchmark
    public void axpy() {
        for (INDArray vector : vectors) {
            Nd4j.getBlasWrapper().level1().axpy(params, 1.5, vector, sumVector);
        }
    }

    /** The other limit: copying an update. */
    @Benchmark
    public void copy() {
        for (INDArray vector : vectors) {
            Pointer.memcpy(sumVector.data().pointer(), vector.data().pointer(), 4L * params);
        }
    }

    /** As the operator folds an update that comes alone: shard by shard. */
    @Benchmark
    public void foldOne() {
        for (long address : addresses) {
            for (int at = 0; at < params; at += SHARD) {
                FloatKernel.fold(
                        new Weighted[] {new Weighted(address + 4L * at, 1.5f)},
                        sumAddress + 4L * at,
                        Math.min(SHARD, params - at));
            }
        }
    }

    /** As the operator folds four updates that wait together. */
    @Benchmark
    public void foldFour() {
        for (int u = 0; u + TOGETHER <= addresses.size(); u += TOGETHER) {
            for (int at = 0; at < params; at += SHARD) {
                Weighted[] waiting = new Weighted[TOGETHER];
                for (int i = 0; i < TOGETHER; i++) {
                    waiting[i] = new Weighted(addresses.get(u + i) + 4L * at, 1.5f);
                }
                FloatKernel.fold(waiting, sumAddress + 4L * at, Math.min(SHARD, params - at));
            }
        }
    }

    /** The same with as many as one call takes. */
    @Benchmark
    public void foldAll() {
        for (int at = 0; at < params; at += SHARD) {
            Weighted[] waiting = new Weighted[addresses.size()];
            for (int i = 0; i < waiting.length; i++) {
                waiting[i] = new Weighted(addresses.get(i) + 4L * at, 1.5f);
            }
            FloatKernel.fold(waiting, sumAddress + 4L * at, Math.min(SHARD, params - at));
        }
    }
}
