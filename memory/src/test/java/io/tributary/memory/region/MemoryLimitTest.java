// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MemoryLimitTest {

    @TempDir Path temp;

    private OptionalLong limit(String groups) throws IOException {
        return MemoryLimit.of(
                Files.writeString(temp.resolve("cgroup"), groups), temp.resolve("mounted"));
    }

    private void write(String file, String text) throws IOException {
        Path path = temp.resolve("mounted").resolve(file);
        Files.createDirectories(path.getParent());
        Files.writeString(path, text + "\n");
    }

    @Test
    void theSmallestOnTheWayUpHolds() throws IOException {
        write("pod/container/memory.max", "max");
        write("pod/memory.max", "536870912");
        write("memory.max", "1073741824");

        assertThat(limit("0::/pod/container\n")).hasValue(536_870_912);
        assertThat(limit("0::/\n")).hasValue(1_073_741_824);
    }

    @Test
    void versionOneHasItsOwnFile() throws IOException {
        write("memory/a/memory.limit_in_bytes", "268435456");
        write("memory/memory.limit_in_bytes", "9223372036854771712");

        assertThat(limit("9:cpu,cpuacct:/\n8:memory:/a\n")).hasValue(268_435_456);
        assertThat(limit("8:memory:/\n")).isEmpty();
    }

    @Test
    void aQuotaMustFitBesideTheHeap() {
        OptionalLong limit = OptionalLong.of(4L << 30);

        assertThat(MemoryLimit.shortage("digits", 2L << 30, 2L << 30, limit)).isEmpty();
        assertThat(MemoryLimit.shortage("digits", 3L << 30, 2L << 30, limit))
                .hasValue(
                        "job digits: regions.quota is 3072 MB and the heap of this process 2048 MB, but its control group may use 4096 MB, in which regions count that it touches first: raise that limit, or lower the quota");
        assertThat(MemoryLimit.shortage("digits", 3L << 30, 2L << 30, OptionalLong.empty()))
                .isEmpty();
    }

    @Test
    void nothingIsSeenOfOtherNamespaces() throws IOException {
        write("memory.max", "max");

        assertThat(limit("0::/../../other\n")).isEmpty();
        assertThat(limit("nonsense\n")).isEmpty();
        assertThat(MemoryLimit.of(temp.resolve("nowhere"), temp)).isEmpty();
    }
}
