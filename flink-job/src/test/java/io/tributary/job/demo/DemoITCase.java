// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.job.Main;
import io.tributary.job.testutils.Cli;
import io.tributary.protocol.Json;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(180)
class DemoITCase {

    @TempDir Path temp;

    private JsonNode report() throws IOException {
        return Json.tree(Files.readAllBytes(temp.resolve("report.json")));
    }

    @ParameterizedTest
    @CsvSource({"2tier, eager, 'us,eu'", "3tier, lazy, 'us,eu'", "4tier, eager, 'us/west,us/east'"})
    void aFederationLearnsWhateverItsTree(String topology, String timing, String groups)
            throws Exception {
        Cli cli =
                Cli.run(
                        "demo",
                        "--topology",
                        topology,
                        "--timing",
                        timing,
                        "--groups",
                        groups,
                        "--trainers",
                        "5",
                        "--rounds",
                        "3",
                        "--report",
                        temp.resolve("report.json").toString(),
                        "--out",
                        temp.resolve("models").toString());

        assertThat(cli.exit()).as(cli.err()).isZero();
        assertThat(cli.out()).contains("Flink web UI: http://", "round  updates  test accuracy");
        JsonNode rounds = report().get("rounds");
        assertThat(rounds).hasSize(3);
        for (JsonNode round : rounds) {
            assertThat(round.get("updates").intValue()).isEqualTo(5);
            assertThat(round.get("rejected").intValue()).isZero();
            assertThat(round.get("lastUpdateToModelMs").doubleValue()).isPositive();
            int sum = 0;
            for (JsonNode group : round.get("groups")) {
                sum += group.intValue();
            }
            assertThat(sum).isEqualTo(5);
            Path model =
                    temp.resolve("models/model-" + round.get("round").intValue() + ".safetensors");
            assertThat(SafetensorsHeader.read(model).tensors()).hasSize(4);
            assertThat(round.get("modelSha256").textValue())
                    .isEqualTo(
                            HexFormat.of()
                                    .formatHex(
                                            MessageDigest.getInstance("SHA-256")
                                                    .digest(Files.readAllBytes(model))));
        }
        double first = rounds.get(0).get("testAccuracy").doubleValue();
        double last = report().get("final").get("testAccuracy").doubleValue();
        assertThat(last).isGreaterThan(first).isGreaterThan(0.75);
        assertThat(report().get("wallSeconds").doubleValue()).isPositive();
        assertThat(report().get("config").get("topology").textValue()).isEqualTo(topology);
    }

    @Test
    void itLearnsRealDigits() throws IOException {
        Path data = Path.of(System.getProperty("tributary.shared"), "data", "mnist");
        assumeThat(data).as("digits that lie beside the repository").exists();

        Cli cli =
                Cli.run(
                        "demo",
                        "--quiet",
                        "--data",
                        data.toString(),
                        "--report",
                        temp.resolve("report.json").toString());

        assertThat(cli.exit()).as(cli.err()).isZero();
        assertThat(report().get("final").get("testAccuracy").doubleValue())
                .isGreaterThanOrEqualTo(0.88);
    }

    @Test
    void aTrainerFromOutsideMayTakePart() throws Exception {
        Path schema = Files.writeString(temp.resolve("schema.json"), TWO_ROLES);
        CompletableFuture<Integer> trainer = new CompletableFuture<>();
        PrintStream stdout = System.out;
        Pattern broker = Pattern.compile("--broker (tcp://\\S+)");
        PrintStream watching =
                new PrintStream(stdout, true) {
                    @Override
                    public void println(String line) {
                        Matcher found = broker.matcher(line);
                        if (found.find()) {
                            CompletableFuture.supplyAsync(
                                            () ->
                                                    Main.run(
                                                            "trainer",
                                                            "--job",
                                                            "demo",
                                                            "--broker",
                                                            found.group(1),
                                                            "--group",
                                                            "default",
                                                            "--id",
                                                            "outsider"))
                                    .thenAccept(trainer::complete);
                        }
                    }
                };
        System.setOut(watching);
        int exit;
        try {
            exit =
                    Main.run(
                            "demo",
                            "--trainers",
                            "0",
                            "--rounds",
                            "2",
                            "--topology",
                            schema.toString(),
                            "--report",
                            temp.resolve("report.json").toString());
            assertThat(trainer.get()).isZero();
        } finally {
            System.setOut(stdout);
        }

        assertThat(exit).isZero();
        assertThat(report().get("rounds")).hasSize(2);
    }

    private static final String TWO_ROLES =
            """
            {"roles":[{"name":"worker","isDataConsumer":true},{"name":"server"}],
             "channels":[{"name":"wire","pair":["server","worker"]}]}
            """;
}
