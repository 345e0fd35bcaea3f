// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.cli.command.UsageException;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.protocol.Json;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** That it measures, not what it measures. */
@Tag("alone")
@Timeout(240)
class BenchITCase {

    @TempDir Path temp;

    @Test
    void sharedMemoryStandsBesideItsLimit() throws Exception {
        requireCompiler();
        List<Figure> figures = new ShmBench(new Load(10_000, 3, 3, 2, 2, Backend.HEAP), temp).run();
        assertThat(figures).allSatisfy(figure -> assertThat(figure.value()).isPositive());
        assertThat(figures.get(0).name()).isEqualTo("shm, end to end");
        assertThat(figures.get(0).limit()).isEqualTo("axpy in C");
        assertThat(figures.get(0).limitValue()).isPositive();
        // Nothing is called eBPF where there is none.
        assertThat(figures)
                .anySatisfy(
                        figure ->
                                assertThat(figure.name())
                                        .matches(
                                                figure.limited()
                                                        ? "descriptor by eBPF, p50"
                                                        : "descriptor relayed, p50"));
    }

    @Test
    void anOptimizerStandsBesideTheMean() throws Exception {
        List<Figure> figures =
                new OptimizerBench(new Load(10_000, 3, 3, 2, 2, Backend.HEAP), temp, 1).run();
        assertThat(figures).extracting(Figure::limit).containsOnly("fedavg");
        assertThat(figures).hasSize(3);
        // The processor's clock is too coarse for so short a round.
        assertThat(figures)
                .filteredOn(figure -> !figure.name().contains("CPU"))
                .hasSize(2)
                .allSatisfy(figure -> assertThat(figure.value()).isPositive())
                .allSatisfy(figure -> assertThat(figure.limitValue()).isPositive());
    }

    @Test
    void theLastUpdateIsFollowed() throws Exception {
        List<Figure> figures =
                new LatencyBench(new Load(10_000, 3, 3, 1, 2, Backend.HEAP), temp).run();
        assertThat(figures).hasSize(6);
        assertThat(figures).allSatisfy(figure -> assertThat(figure.value()).isPositive());
        // A receipt waits for a checkpoint, a model that leaves at once does not.
        assertThat(millis(figures, "spread over 2 s, last to trainers' model"))
                .isLessThan(millis(figures, "checkpoint every 200 ms, last to receipt"));
    }

    /** The other host's region comes by the nodes of both. */
    @Test
    void aRegionOfAnotherHostIsReadBesideIperf3() throws Exception {
        Assumptions.assumeTrue(
                "root".equals(System.getProperty("user.name"))
                                && Files.exists(Path.of("/usr/bin/iperf3"))
                        || System.getenv("TRIBUTARY_REQUIRE_BPF") != null);
        Figure figure =
                new RemoteBench(100_000, 1, TrustedDirectory.of(TrustedDirectory.DEFAULT)).run();
        assertThat(figure.value()).isPositive();
        assertThat(figure.limitValue()).isPositive();
    }

    /** A file with a field for each figure, wherever the state is. */
    @ParameterizedTest
    @EnumSource(Backend.class)
    void theCoordinatorIsMeasuredWithEachBackend(Backend backend) throws Exception {
        Path file = temp.resolve("coordinator.json");
        int code =
                Bench.run(
                        "--path",
                        "coordinator",
                        "--trainers",
                        Integer.toString(CoordinatorBench.FEWEST),
                        "--backend",
                        backend.toString(),
                        "--json",
                        file.toString());
        assertThat(code).isZero();
        JsonNode result = Json.tree(Files.readAllBytes(file));
        assertThat(result.path("trainers").asInt()).isEqualTo(CoordinatorBench.FEWEST);
        assertThat(result.path("backend").asText()).isEqualTo(backend.toString());
        for (String figure :
                List.of(
                        "eventsPerSecond",
                        "firstAccessMillis",
                        "checkpointBytes",
                        "bytesPerTrainer",
                        "closeMaxMillis",
                        "joinsMillis")) {
            assertThat(result.path(figure).asDouble()).as(figure).isPositive();
        }
    }

    @Test
    void tooFewTrainersForTheCoordinatorIsSaid() {
        assertThat(Bench.run("--path", "coordinator", "--trainers", "100")).isEqualTo(2);
    }

    private static double millis(List<Figure> figures, String name) {
        return figures.stream()
                .filter(figure -> figure.name().equals(name))
                .mapToDouble(Figure::value)
                .sum();
    }

    /** One after the other, each in a process, into a file that 'compare' reads. */
    @Test
    void severalRunsAreKept() throws Exception {
        boolean broker =
                Files.exists(Path.of("/usr/sbin/mosquitto"))
                        && Files.exists(Path.of("/usr/bin/mosquitto_sub"));
        Assumptions.assumeTrue(broker || System.getenv("TRIBUTARY_REQUIRE_MOSQUITTO") != null);
        Path json = temp.resolve("runs.json");
        int code =
                Bench.run(
                        "--path",
                        "mqtt",
                        "--runs",
                        "2",
                        "--quick",
                        "--params",
                        "10000",
                        "--trainers",
                        "3",
                        "--rounds",
                        "2",
                        "--dir",
                        temp.toString(),
                        "--json",
                        json.toString());
        assertThat(code).isZero();
        Report report = Json.decode(Files.readAllBytes(json), Report.class);
        assertThat(report.leftOut()).isEmpty();
        assertThat(report.figures().get("MQTT, end to end"))
                .hasSize(2)
                .allSatisfy(figure -> assertThat(figure.score()).isPositive());
        assertThat(Bench.run("compare", json.toString(), json.toString())).isZero();
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
