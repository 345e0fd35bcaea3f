// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import io.tributary.cli.command.UsageException;
import io.tributary.memory.kernel.Memory;
import io.tributary.memory.kernel.PrivateMemory;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The limit: a float32 axpy in C, compiled for this processor, that reads updates from memory as
 * cold as they are for the job. Thread-safe.
 */
final class Axpy {

    private static final List<String> COMPILERS = List.of("clang", "gcc", "cc");
    private static final int WARM_UP = 2;
    private static final int REPEATS = 9;

    /** What it is called where something stands beside it. */
    static final String NAME = "axpy in C";

    private static boolean linked;

    private Axpy() {}

    private static native void axpy(float weight, long values, long sum, long count);

    /**
     * Compiles it, once in a process.
     *
     * @throws UsageException where there is no compiler
     */
    static synchronized Axpy compile() {
        if (!linked) {
            Native.register(Axpy.class, NativeLibrary.getInstance(library().toString()));
            linked = true;
        }
        return new Axpy();
    }

    private static Path library() {
        try (InputStream source = Axpy.class.getResourceAsStream("axpy.c")) {
            Path directory = Files.createTempDirectory("tributary-axpy");
            Path c = directory.resolve("axpy.c");
            Path library = directory.resolve("axpy.so");
            Files.copy(source, c);
            for (String compiler : COMPILERS) {
                if (compiled(compiler, c, library)) {
                    library.toFile().deleteOnExit();
                    c.toFile().deleteOnExit();
                    directory.toFile().deleteOnExit();
                    return library;
                }
            }
        } catch (IOException e) {
            throw new UsageException("the limit cannot be compiled: " + e);
        }
        throw new UsageException(
                "the limit is compiled for this processor, and there is no C compiler here (apt-get install clang libc6-dev)");
    }

    private static boolean compiled(String compiler, Path c, Path library) throws IOException {
        try {
            return new ProcessBuilder(
                                    compiler,
                                    "-O3",
                                    "-march=native",
                                    "-fPIC",
                                    "-shared",
                                    c.toString(),
                                    "-o",
                                    library.toString())
                            .inheritIO()
                            .start()
                            .waitFor()
                    == 0;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        } catch (IOException absent) {
            return false;
        }
    }

    /** {@code sum += 1.5 × values}. */
    void add(Memory values, Memory sum, int count) {
        axpy(1.5f, values.address(0), sum.address(0), count);
    }

    /**
     * Reads updates by several threads at a time, each into a sum of its own.
     *
     * @return GB of updates a second, several times
     */
    List<Double> gbPerSecond(List<? extends Memory> updates, int params, int threads)
            throws Exception {
        ExecutorService executor = Executors.newFixedThreadPool(threads);
        List<Memory> sums = new ArrayList<>();
        List<Callable<Void>> parts = new ArrayList<>();
        for (int thread = 0; thread < threads; thread++) {
            Memory sum = new PrivateMemory(Float.BYTES * params);
            sum.clear();
            sums.add(sum);
            int first = thread;
            parts.add(
                    () -> {
                        for (int u = first; u < updates.size(); u += threads) {
                            add(updates.get(u), sum, params);
                        }
                        return null;
                    });
        }
        List<Double> speeds = new ArrayList<>();
        try {
            for (int repeat = 0; repeat < WARM_UP + REPEATS; repeat++) {
                long start = System.nanoTime();
                for (Future<Void> part : executor.invokeAll(parts)) {
                    part.get();
                }
                if (repeat >= WARM_UP) {
                    speeds.add(
                            (double) Float.BYTES
                                    * params
                                    * updates.size()
                                    / (System.nanoTime() - start));
                }
            }
        } finally {
            executor.shutdownNow();
        }
        return speeds;
    }
}
