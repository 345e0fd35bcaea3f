// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.job.command.UsageException;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** That it measures, not what it measures. */
@Timeout(120)
class ShmBenchITCase {

    @TempDir Path temp;

    @Test
    void aSmallRunFillsTheReport() throws Exception {
        requireCompiler();
        ShmReport report = new ShmBench(10_000, 6, 3, 3, temp).run();
        assertThat(report.updates()).isEqualTo(6);
        assertThat(report.gbPerSecond()).isPositive();
        assertThat(report.axpyGbPerSecond()).isPositive();
        assertThat(report.ratio()).isEqualTo(report.gbPerSecond() / report.axpyGbPerSecond());
        assertThat(report.descriptorMicrosP50()).isPositive();
        assertThat(report.descriptorMicrosP99())
                .isGreaterThanOrEqualTo(report.descriptorMicrosP50());
        assertThat(report.lastUpdateToModelMs()).isPositive();
        assertThat(report.anonymousMb()).isPositive();
    }

    /** The limit is compiled; a machine with JDK and Maven alone tests the rest. */
    private static void requireCompiler() {
        try {
            Axpy.compile();
        } catch (UsageException e) {
            Assumptions.assumeTrue(System.getenv("TRIBUTARY_REQUIRE_BPF") != null, e.getMessage());
            throw e;
        }
    }
}
