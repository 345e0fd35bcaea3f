// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.testbed.chaos.ChaosOptions.Kind;
import io.tributary.testbed.transport.TransportKind;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Half a minute of chaos for each transport, with algorithms that remember and that do not. */
@Tag("alone")
class ChaosITCase {

    @TempDir Path regions;

    @Test
    @Timeout(500)
    void nothingIsLostAndNothingCountsTwice() throws Exception {
        nothingIsLost("shm", "scaffold");
    }

    @Tag("long")
    @ParameterizedTest
    @ValueSource(strings = {"mqtt", "kafka"})
    @Timeout(500)
    void norByWayOfABroker(String scheme) throws Exception {
        nothingIsLost(scheme, "fedavg");
    }

    private void nothingIsLost(String scheme, String algorithm) throws Exception {
        TransportKind transport = TransportKind.of(scheme);
        requireRight(
                new ChaosOptions(
                        Duration.ofSeconds(35),
                        Duration.ofSeconds(9),
                        7,
                        transport,
                        ChaosOptions.kinds(transport, false),
                        new ChaosOptions.Trainers(2, 2),
                        regions,
                        0,
                        algorithm));
    }

    @Tag("long")
    @Test
    @Timeout(500)
    void norWhereHostsDieOrAreCutOff() throws Exception {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")), "needs root");
        requireRight(
                new ChaosOptions(
                        Duration.ofSeconds(40),
                        Duration.ofSeconds(12),
                        7,
                        TransportKind.SHM,
                        List.of(Kind.HOST, Kind.LINK),
                        new ChaosOptions.Trainers(2, 2),
                        regions,
                        3,
                        "fedavg"));
    }

    /** Flink goes on with fewer hosts, and with those that come in their place. */
    @Test
    @Timeout(500)
    void norWhereHostsAreLostForGood() throws Exception {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")), "needs root");
        requireRight(
                new ChaosOptions(
                        Duration.ofSeconds(50),
                        Duration.ofSeconds(14),
                        7,
                        TransportKind.SHM,
                        List.of(Kind.LOST_HOST),
                        new ChaosOptions.Trainers(4, 0),
                        regions,
                        3,
                        "fedadam"));
    }

    private static void requireRight(ChaosOptions options) throws Exception {
        ChaosReport report = new Chaos(options, System.out).run();
        assertThat(report.faults()).isEmpty();
        assertThat(report.updates().countedTwice()).isZero();
        assertThat(report.updates().lost()).isZero();
        assertThat(report.course().kills()).isNotEmpty();
        assertThat(report.updates().countedOnce()).isGreaterThan(8);
        assertThat(report.worstError()).isLessThan(1e-6);
    }
}
