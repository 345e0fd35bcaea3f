// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.transport;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class ManagedShmTest {

    @Test
    void whatIsMissingIsSaidWithWhatToDo() {
        String said =
                ManagedShm.description(
                        Path.of("/dev/shm/demo"),
                        Optional.of("64 MB"),
                        "relay in user space: eBPF object is not in this build; apt-get install clang",
                        "Java, several times as slow as in C; apt-get install clang");
        assertThat(said.lines())
                .containsExactly(
                        "Shared memory: /dev/shm/demo; 64 MB",
                        "Descriptors:   relay in user space: eBPF object is not in this build; apt-get install clang",
                        "Fold:          Java, several times as slow as in C; apt-get install clang");
    }

    @Test
    void whereNothingIsMissingNothingIsSaidOfIt() {
        assertThat(
                        ManagedShm.description(
                                        Path.of("/dev/shm/demo"),
                                        Optional.empty(),
                                        "eBPF",
                                        "C, avx2")
                                .lines())
                .containsExactly(
                        "Shared memory: /dev/shm/demo",
                        "Descriptors:   eBPF",
                        "Fold:          C, avx2");
    }
}
