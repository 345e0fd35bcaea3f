// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;

/**
 * How much memory the control groups of a process leave it. The kernel charges a page of shared
 * memory to the group of the process that touches it first, so regions count here.
 */
public final class MemoryLimit {

    /** More than that is version 1's way to say that there is no limit. */
    private static final long UNLIMITED = Long.MAX_VALUE >> 1;

    private MemoryLimit() {}

    /**
     * What is to be said where a job's regions have no room beside this process's heap; empty where
     * they have.
     *
     * @param job the job's name
     * @param quotaBytes bound for its regions
     */
    static Optional<String> shortage(String job, long quotaBytes) {
        return shortage(job, quotaBytes, Runtime.getRuntime().maxMemory(), ofThisProcess());
    }

    static Optional<String> shortage(
            String job, long quotaBytes, long heapBytes, OptionalLong limit) {
        return limit.isPresent() && quotaBytes > limit.getAsLong() - heapBytes
                ? Optional.of(
                        "job %s: regions.quota is %d MB and the heap of this process %d MB, but its control group may use %d MB, in which regions count that it touches first: raise that limit, or lower the quota"
                                .formatted(
                                        job,
                                        quotaBytes >> 20,
                                        heapBytes >> 20,
                                        limit.getAsLong() >> 20))
                : Optional.empty();
    }

    /** The limit of this process in bytes; empty where there is none, or none can be seen. */
    public static OptionalLong ofThisProcess() {
        return of(Path.of("/proc/self/cgroup"), Path.of("/sys/fs/cgroup"));
    }

    /**
     * The smallest limit of a process's group and of those above it.
     *
     * @param groups the process's list of groups
     * @param mounted where control groups are mounted
     */
    static OptionalLong of(Path groups, Path mounted) {
        try (Stream<String> lines = Files.lines(groups)) {
            return lines.flatMap(line -> files(line, mounted))
                    .flatMapToLong(file -> read(file).stream())
                    .min();
        } catch (IOException e) {
            return OptionalLong.empty();
        }
    }

    /** The files with limits for a line such as {@code 0::/a/b} or {@code 8:memory:/a/b}. */
    private static Stream<Path> files(String line, Path mounted) {
        String[] fields = line.split(":", 3);
        boolean second = fields.length == 3 && fields[1].isEmpty();
        if (fields.length < 3 || !second && !List.of(fields[1].split(",")).contains("memory")) {
            return Stream.empty();
        }
        Path root = second ? mounted : mounted.resolve("memory");
        Path group = root.resolve(fields[2].replaceFirst("^/+", "")).normalize();
        return Stream.iterate(group, path -> path.startsWith(root), Path::getParent)
                .map(path -> path.resolve(second ? "memory.max" : "memory.limit_in_bytes"));
    }

    private static OptionalLong read(Path file) {
        try {
            String text = Files.readString(file).strip();
            return text.matches("[0-9]{1,19}") && Long.parseLong(text) < UNLIMITED
                    ? OptionalLong.of(Long.parseLong(text))
                    : OptionalLong.empty();
        } catch (IOException | NumberFormatException e) {
            // The group of another namespace, or the root's, which has no such file.
            return OptionalLong.empty();
        }
    }
}
