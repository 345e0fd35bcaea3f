// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SharedMemoryTest {

    @TempDir Path temp;

    @ParameterizedTest
    @CsvSource({
        "300m, never, '300 MB free of 300 MB (tmpfs, huge pages: never); root makes new models faster by mounting it with huge=within_size'",
        "300m, within_size, '300 MB free of 300 MB (tmpfs, huge pages: within_size)'",
        "64m, always, '64 MB free of 64 MB (tmpfs, huge pages: always); that is small: mount more (docker run --shm-size=4g), or choose another --dir'"
    })
    void saysWhatAFileSystemHas(String size, String huge, String description) throws Exception {
        String options = "size=%s,huge=%s".formatted(size, huge);
        Assumptions.assumeTrue(
                ended("mount", "-t", "tmpfs", "-o", options, "tributary", temp.toString()) == 0,
                "only root mounts, and not every kernel has huge pages");
        try {
            SharedMemory memory = SharedMemory.of(temp.resolve("not/there/yet"));
            assertThat(memory.hugePages()).isEqualTo(huge);
            assertThat(memory.description()).isEqualTo(description);
        } finally {
            assertThat(ended("umount", temp.toString())).isZero();
        }
    }

    @Test
    void adviceAboutMountsIsForTmpfs() {
        assertThat(new SharedMemory("ext4", 1L << 30, 1L << 30, "never").description())
                .isEqualTo("1024 MB free of 1024 MB (ext4, huge pages: never)");
    }

    private static int ended(String... command) throws Exception {
        return new ProcessBuilder(command).start().waitFor();
    }
}
