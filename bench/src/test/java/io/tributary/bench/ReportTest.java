// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.tributary.protocol.Json;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportTest {

    private static final Machine MACHINE =
            new Machine("A processor", 2, 24, "6.1", "17", "Java", "never");

    @TempDir Path temp;

    private static List<Figure> speeds(double... values) {
        return DoubleStream.of(values)
                .mapToObj(v -> new Figure("speed", "GB/s", false, 10 * v, "axpy", 10))
                .toList();
    }

    private static List<Figure> delays(double... values) {
        return DoubleStream.of(values)
                .mapToObj(v -> new Figure("delay", "ms", true, v, "", 0))
                .toList();
    }

    @Test
    void eachStandsBesideItsLimitAndTheMachine() {
        Report report =
                new Report(
                        MACHINE,
                        List.of(
                                List.of(speeds(0.5).get(0), delays(12.34).get(0)),
                                List.of(speeds(0.7).get(0), delays(14).get(0))),
                        Map.of("remote", "it needs root"),
                        Map.of("kafka", "the broker has ended"));
        assertThat(report.table().lines().map(line -> line.replaceAll(" +", " ")))
                .containsExactly(
                        "A processor, 2 cores, 24 GB, Linux 6.1, JDK 17, fold: Java, huge pages: never",
                        "",
                        " of the limit",
                        "speed 6.00 GB/s 0.60, 0.50 to 0.70 (axpy 10.0)",
                        "delay 13.2 ms 13.2, 12.3 to 14.0",
                        "remote is left out: it needs root",
                        "kafka failed: the broker has ended");
    }

    @Test
    void theMiddleIsTheMedian() {
        assertThat(Figure.more("a", "", List.of(3.0, 1.0, 10.0)).value()).isEqualTo(3);
        assertThat(Figure.less("a", "", List.of(4.0)).beside("b", List.of(1.0, 2.0, 9.0)).score())
                .isEqualTo(2);
    }

    @Test
    void aChangeBeyondTheNoiseIsNamed() {
        List<Figure> before = speeds(0.50, 0.52, 0.48, 0.51, 0.49);
        assertThat(Comparison.of(before, speeds(0.61, 0.63, 0.60, 0.64, 0.62)).verdict())
                .isEqualTo("better");
        assertThat(Comparison.of(before, speeds(0.41, 0.43, 0.40, 0.44, 0.42)).verdict())
                .isEqualTo("worse");
        Comparison same = Comparison.of(before, speeds(0.51, 0.47, 0.53, 0.50, 0.49));
        assertThat(same.verdict()).isEqualTo("no change beyond the noise");
        assertThat(same.change()).isCloseTo(1, within(1e-9));
        assertThat(same.low()).isBetween(0.9, 1.0);
        assertThat(same.high()).isBetween(1.0, 1.13);
    }

    @Test
    void lessIsBetterWhereItIs() {
        List<Figure> before = delays(20, 21, 22, 23);
        assertThat(Comparison.of(before, delays(10, 11, 12, 13)).verdict()).isEqualTo("better");
        assertThat(Comparison.of(before, delays(40, 41, 42, 43)).verdict()).isEqualTo("worse");
    }

    @Test
    void fewRunsTellNothing() {
        assertThat(Comparison.of(speeds(0.5, 0.5, 0.5), speeds(0.9, 0.9, 0.9, 0.9)).verdict())
                .isEqualTo("too few runs to tell: 4 of each are needed");
    }

    @Test
    void twoFilesAreCompared() throws Exception {
        Path before = write("before.json", new Report(MACHINE, runs(0.5), Map.of(), Map.of()));
        Path after = write("after.json", new Report(MACHINE, runs(0.8), Map.of(), Map.of()));
        String said = said("compare", before.toString(), after.toString());
        assertThat(said).contains("old: A processor", "new: A processor");
        assertThat(said.replaceAll(" +", " ")).contains("speed 1.60 ");
        assertThat(said).contains("better");
    }

    @Test
    void wrongUsageIsOneLine() throws Exception {
        assertThat(said()).startsWith("2 tributary: --path is missing: expected one of");
        assertThat(said("--path", "shm", "--runs", "0"))
                .startsWith("2 tributary: --runs 0: expected 1 or more");
        assertThat(said("--path", "shm", "--rounds", "0"))
                .startsWith("2 tributary: --rounds 0: expected 1 or more");
        assertThat(said("--path", "peer", "--python", "no-such-python"))
                .startsWith(
                        "2 tributary: 'no-such-python' cannot be run; no-such-python has no Flower");
        assertThat(said("--path", "remote", "--hosts", "40"))
                .startsWith("2 tributary: --trainers 30: expected one for each host at least");
        Path other = Files.writeString(temp.resolve("other.json"), "{}");
        assertThat(said("compare", other.toString(), other.toString()))
                .startsWith("2 tributary: " + other + ": expected what 'bench --json' wrote");
        assertThat(said("compare", temp.resolve("none").toString(), other.toString()).lines())
                .hasSize(1);
    }

    private static List<List<Figure>> runs(double middle) {
        return DoubleStream.of(0.98, 1, 1.01, 1.02, 0.99)
                .mapToObj(v -> speeds(middle * v))
                .toList();
    }

    private Path write(String name, Report report) throws Exception {
        return Files.writeString(temp.resolve(name), Json.pretty(report));
    }

    /** The exit code, and what was said on both outputs. */
    private static String said(String... args) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        try (PrintStream all = new PrintStream(said, true, StandardCharsets.UTF_8)) {
            System.setOut(all);
            System.setErr(all);
            int code = Bench.run(args);
            return code + " " + said.toString(StandardCharsets.UTF_8);
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
    }
}
