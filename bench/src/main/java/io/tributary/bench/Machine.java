// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.memory.kernel.FoldKernel;
import io.tributary.memory.region.SharedMemory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where something was measured.
 *
 * @param processor its model
 * @param cores those that this process may use
 * @param memoryGb of the machine
 * @param kernel Linux's release
 * @param jdk the JDK's version
 * @param fold what folds: {@link FoldKernel#name}
 * @param hugePages of the file system that regions are on: {@link SharedMemory#hugePages}
 */
record Machine(
        String processor,
        int cores,
        long memoryGb,
        String kernel,
        String jdk,
        String fold,
        String hugePages) {

    /** This one, with regions in a directory. */
    static Machine of(Path regions) throws IOException {
        return new Machine(
                field(Path.of("/proc/cpuinfo"), "model name"),
                Runtime.getRuntime().availableProcessors(),
                Math.round(
                        Double.parseDouble(
                                        field(Path.of("/proc/meminfo"), "MemTotal")
                                                .replaceAll("\\D", ""))
                                / 1e6),
                System.getProperty("os.version"),
                System.getProperty("java.version"),
                FoldKernel.best().name(),
                SharedMemory.of(regions).hugePages());
    }

    private static String field(Path file, String name) throws IOException {
        return Files.readAllLines(file).stream()
                .filter(line -> line.startsWith(name))
                .map(line -> line.substring(line.indexOf(':') + 1).strip())
                .findFirst()
                .orElse("0");
    }

    @Override
    public String toString() {
        return "%s, %d cores, %d GB, Linux %s, JDK %s, fold: %s, huge pages: %s"
                .formatted(processor, cores, memoryGb, kernel, jdk, fold, hugePages);
    }
}
