// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Issue 13, item 6: a process of the cluster is told apart without a clock. */
class ProcessIdentityTest {

    @Test
    void aProcessLivesUntilItEnds() throws Exception {
        Process process = new ProcessBuilder("sleep", "60").start();
        ProcessIdentity identity = ProcessIdentity.of(process.pid());
        try {
            assertThat(identity.alive()).isTrue();
            assertThat(identity.startTicks()).isPositive();
            assertThat(new ProcessIdentity(process.pid(), identity.startTicks() + 1).alive())
                    .as("a later one of its number")
                    .isFalse();
        } finally {
            process.destroyForcibly().waitFor();
        }
        assertThat(identity.alive()).isFalse();
        assertThat(ProcessIdentity.NOBODY.alive()).isFalse();
    }

    /** It has ended, and only its parent does not want to know. */
    @Test
    void aZombieIsDead() throws Exception {
        Process parent =
                new ProcessBuilder("bash", "-c", "cat <&0 & echo $!; exec sleep 60").start();
        try {
            long pid = Long.parseLong(parent.inputReader().readLine());
            // Until then the parent is a shell, which does want to know.
            while (!Files.readString(Path.of("/proc", "" + parent.pid(), "comm"))
                    .startsWith("sleep")) {
                Thread.onSpinWait();
            }
            parent.outputWriter().close();
            while (ProcessIdentity.of(pid).alive()) {
                Thread.onSpinWait();
            }
            assertThat(ProcessHandle.of(pid)).as("still in the table").isPresent();
        } finally {
            parent.destroyForcibly().waitFor();
        }
    }

    @Test
    void aNameWithBlanksAndBracketsIsRead() throws Exception {
        Process process = new ProcessBuilder("bash", "-c", "exec -a 'x) Z 1 (y' sleep 60").start();
        try {
            assertThat(ProcessIdentity.of(process.pid()).alive()).isTrue();
        } finally {
            process.destroyForcibly().waitFor();
        }
    }
}
