// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.PythonTrainers;
import io.tributary.testbed.process.ChildProcess;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Runs Python's tests of whole simulations, which need the launcher's build. */
class SimulationITCase {

    private static final long PATIENCE_SECONDS = 400;

    @TempDir Path temp;

    @Test
    @Timeout(450)
    void simulationsRun() {
        Assumptions.assumeTrue(
                System.getenv("TRIBUTARY_REQUIRE_PYTHON") != null, "installs packages from PyPI");
        try (ChildProcess tests = PythonTrainers.tests(temp, "tests/test_simulation_job.py")) {
            assertThat(tests.await(PATIENCE_SECONDS)).as(tests.logTail()).isTrue();
            assertThat(tests.exitCode()).as(tests.logTail()).contains(0);
            assertThat(tests.logTail()).contains("[100%]").doesNotContain("SKIPPED");
        }
    }
}
