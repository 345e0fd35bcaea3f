// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.chaos;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.job.config.JobOptions.TransportType;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Half a minute of chaos for each transport. */
class ChaosITCase {

    @TempDir Path regions;

    @ParameterizedTest
    @EnumSource
    @Timeout(500)
    void nothingIsLostAndNothingCountsTwice(TransportType transport) throws Exception {
        ChaosReport report =
                new Chaos(
                                new ChaosOptions(
                                        Duration.ofSeconds(35),
                                        Duration.ofSeconds(9),
                                        7,
                                        transport,
                                        ChaosOptions.kinds(transport),
                                        4,
                                        regions),
                                System.out)
                        .run();
        assertThat(report.faults()).isEmpty();
        assertThat(report.countedTwice()).isZero();
        assertThat(report.lost()).isZero();
        assertThat(report.kills()).isNotEmpty();
        assertThat(report.countedOnce()).isGreaterThan(8);
        assertThat(report.worstError()).isLessThan(1e-6);
    }
}
