// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.cli.Main;
import io.tributary.cli.testutils.Cli;
import io.tributary.protocol.Json;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.testbed.process.EmbeddedBroker;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(400)
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
        assertThat(cli.out())
                .contains("Flink web UI: http://", "round  updates  test accuracy  training loss");
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

    @ParameterizedTest
    @CsvSource({"mqtt, MQTT broker:", "kafka, Kafka broker:", "shm, Shared memory:"})
    void aFederationLearnsOverEachTransport(String transport, String shown) throws Exception {
        Path regions = Files.createDirectory(temp.resolve("regions"));
        List<String> arguments =
                new ArrayList<>(
                        List.of(
                                "demo",
                                "--transport",
                                transport,
                                "--trainers",
                                "4",
                                "--rounds",
                                "2",
                                "--report",
                                temp.resolve("report.json").toString()));
        if (transport.equals("shm")) {
            arguments.addAll(List.of("--dir", regions.toString()));
        }
        Cli cli = Cli.run(arguments.toArray(String[]::new));
        assertThat(cli.exit()).as(cli.err()).isZero();
        assertThat(cli.err()).isEmpty();
        assertThat(cli.out()).contains(shown);
        assertThat(report().get("config").get("transport").textValue()).isEqualTo(transport);
        assertThat(report().get("rounds"))
                .hasSize(2)
                .allMatch(round -> round.get("updates").intValue() == 4);
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
        Pattern broker = Pattern.compile("--transport (mqtt://\\S+)");
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
                                                            "--transport",
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

    /** What is printed is watched; the demo runs on a thread of its own until it is ended. */
    private static CompletableFuture<Integer> demo(
            Consumer<String> lines, AtomicReference<Thread> running, String... more) {
        PrintStream stdout = System.out;
        System.setOut(
                new PrintStream(stdout, true) {
                    @Override
                    public void println(String line) {
                        lines.accept(line);
                    }
                });
        List<String> arguments = new ArrayList<>(List.of("demo"));
        arguments.addAll(List.of(more));
        CompletableFuture<Integer> exit = new CompletableFuture<>();
        Thread thread =
                new Thread(
                        () -> {
                            try {
                                exit.complete(Main.run(arguments.toArray(String[]::new)));
                            } catch (RuntimeException e) {
                                exit.completeExceptionally(e);
                            } finally {
                                System.setOut(stdout);
                            }
                        });
        running.set(thread);
        thread.start();
        return exit;
    }

    private static void awaitFinished(HttpClient http, String url) {
        Awaitility.await()
                .atMost(Duration.ofMinutes(2))
                .until(
                        () ->
                                http.send(
                                                HttpRequest.newBuilder(
                                                                URI.create(url + "/jobs/overview"))
                                                        .build(),
                                                HttpResponse.BodyHandlers.ofString())
                                        .body()
                                        .contains("FINISHED"));
    }

    private static String group(String line, String pattern) {
        Matcher matcher = Pattern.compile(pattern).matcher(line);
        return matcher.find() ? matcher.group(1) : "";
    }

    /** Sockets of this process that listen on all addresses. */
    private static Set<String> openToAll() throws IOException {
        Set<String> own = new HashSet<>();
        try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
            for (Path descriptor : descriptors.toList()) {
                try {
                    own.add(Files.readSymbolicLink(descriptor).toString());
                } catch (NoSuchFileException closed) {
                    // Since it was listed.
                }
            }
        }
        Set<String> open = new HashSet<>();
        for (String table : List.of("tcp", "tcp6")) {
            for (String line : Files.readAllLines(Path.of("/proc/self/net", table))) {
                String[] fields = line.trim().split("\\s+");
                if (fields[1].matches("0+:.*")
                        && fields[3].equals("0A")
                        && own.contains("socket:[" + fields[9] + "]")) {
                    open.add(fields[1]);
                }
            }
        }
        return open;
    }

    /** After the last round: the UI, and the page of the job. */
    @Test
    void theUiStaysUpWhenItIsHeld() throws Exception {
        CompletableFuture<String> held = new CompletableFuture<>();
        AtomicReference<Thread> running = new AtomicReference<>();
        Set<String> before = openToAll();
        CompletableFuture<Integer> exit =
                demo(
                        line -> {
                            String url =
                                    group(line, "The web UI stays up until Ctrl-C: (http://\\S+)");
                            if (!url.isEmpty()) {
                                held.complete(url);
                            }
                        },
                        running,
                        "--hold",
                        "--quiet",
                        "--trainers",
                        "2",
                        "--rounds",
                        "1",
                        "--ui-port",
                        "0");
        try {
            exit.thenAccept(
                    code ->
                            held.completeExceptionally(
                                    new AssertionError("it ended with exit code " + code)));
            String url = held.get(2, TimeUnit.MINUTES);
            assertThat(openToAll()).as("the loopback is enough").isSubsetOf(before);
            HttpClient http = HttpClient.newHttpClient();
            for (int i = 0; i < 3; i++) {
                if (i == 2) {
                    awaitFinished(http, url);
                }
                HttpResponse<String> page =
                        http.send(
                                HttpRequest.newBuilder(URI.create(url + "/")).build(),
                                HttpResponse.BodyHandlers.ofString());
                assertThat(page.statusCode()).isEqualTo(200);
                JsonNode jobs =
                        Json.tree(
                                http.send(
                                                HttpRequest.newBuilder(
                                                                URI.create(url + "/jobs/overview"))
                                                        .build(),
                                                HttpResponse.BodyHandlers.ofByteArray())
                                        .body());
                assertThat(jobs.at("/jobs/0/name").asText()).isEqualTo("demo");
                if (i == 2) {
                    assertThat(jobs.at("/jobs/0/state").asText()).isEqualTo("FINISHED");
                }
                String job = jobs.at("/jobs/0/jid").asText();
                assertThat(
                                http.send(
                                                HttpRequest.newBuilder(
                                                                URI.create(url + "/jobs/" + job))
                                                        .build(),
                                                HttpResponse.BodyHandlers.ofString())
                                        .statusCode())
                        .isEqualTo(200);
            }
            assertThat(exit).isNotDone();
        } finally {
            running.get().interrupt();
            running.get().join();
        }
    }

    /** One that is started here, and one from outside, whom the first round waits for. */
    @Test
    void aRoundWaitsForTrainersFromOutside() throws Exception {
        CompletableFuture<Integer> trainer = new CompletableFuture<>();
        CompletableFuture<Integer> exit =
                demo(
                        line -> {
                            String broker = group(line, "(mqtt://[0-9.:]+)");
                            if (!broker.isEmpty()) {
                                CompletableFuture.supplyAsync(
                                                () ->
                                                        Main.run(
                                                                "trainer",
                                                                "--job",
                                                                "demo",
                                                                "--transport",
                                                                broker,
                                                                "--group",
                                                                "eu",
                                                                "--id",
                                                                "outsider"))
                                        .thenAccept(trainer::complete);
                            }
                        },
                        new AtomicReference<>(),
                        "--quiet",
                        "--trainers",
                        "1",
                        "--minimum-trainers",
                        "2",
                        "--rounds",
                        "1",
                        "--report",
                        temp.resolve("report.json").toString());
        assertThat(exit.get(3, TimeUnit.MINUTES)).isZero();
        assertThat(trainer.get(1, TimeUnit.MINUTES)).isZero();
        assertThat(report().at("/rounds/0/updates").intValue()).isEqualTo(2);
    }

    /** Nobody answers, and whoever waits is told what may be the reason. */
    @Test
    void aTrainerThatNobodyAnswersSaysSo() throws Exception {
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        PrintStream stdout = System.out;
        System.setOut(new PrintStream(said, true, StandardCharsets.UTF_8));
        try (EmbeddedBroker broker = EmbeddedBroker.start()) {
            Thread trainer =
                    new Thread(
                            () ->
                                    Main.run(
                                            "trainer",
                                            "--job",
                                            "another",
                                            "--group",
                                            "eu",
                                            "--transport",
                                            broker.url()));
            trainer.start();
            Awaitility.await()
                    .atMost(Duration.ofMinutes(1))
                    .untilAsserted(
                            () ->
                                    assertThat(said.toString(StandardCharsets.UTF_8))
                                            .contains("no answer yet", "is --job its name?"));
            trainer.interrupt();
            trainer.join();
        } finally {
            System.setOut(stdout);
        }
    }

    private static final String TWO_ROLES =
            """
            {"roles":[{"name":"worker","isDataConsumer":true},{"name":"server"}],
             "channels":[{"name":"wire","pair":["server","worker"]}]}
            """;
}
