// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.shm;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.Main;
import io.tributary.cli.testutils.TestJob;
import io.tributary.node.agent.BpfRequirements;
import io.tributary.node.agent.FreePorts;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Agent, trainers and job in three processes, each killed again and again and started anew. */
@Timeout(300)
class KilledProcessesITCase {

    private static final List<String> IDS = List.of("t-1", "t-2", "t-3", "t-4");
    private static final int ROUNDS = 12;
    private static final int KILLS = 9;

    @TempDir Path temp;

    private final int port = FreePorts.next(2);
    private final Map<String, Process> running = new HashMap<>();

    private void start(String what) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(System.getProperty("java.home") + "/bin/java");
        command.addAll(
                List.of(
                        "-Xmx1g",
                        "-Djava.awt.headless=true",
                        "-Dlogback.configurationFile="
                                + System.getProperty("logback.configurationFile"),
                        "--add-opens=java.base/java.util=ALL-UNNAMED",
                        "--add-opens=java.base/java.lang=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path")));
        switch (what) {
            case "agent" -> {
                command.addAll(0, BpfRequirements.withoutSpareRights());
                command.addAll(
                        List.of(
                                Main.class.getName(),
                                "agent",
                                "--port",
                                Integer.toString(port),
                                "--dir",
                                temp.resolve("regions").toString()));
            }
            case "job" ->
                    command.addAll(
                            List.of(
                                    JobProcess.class.getName(),
                                    temp.toString(),
                                    Integer.toString(port),
                                    Integer.toString(IDS.size()),
                                    Integer.toString(ROUNDS)));
            default -> {
                command.addAll(
                        List.of(
                                TrainerProcess.class.getName(),
                                temp.toString(),
                                Integer.toString(port)));
                command.addAll(IDS);
            }
        }
        File log = temp.resolve(what + ".log").toFile();
        running.put(
                what,
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(ProcessBuilder.Redirect.appendTo(log))
                        .start());
    }

    private int roundsDone() {
        int done = 0;
        while (Files.exists(job().model(done + 1))) {
            done++;
        }
        return done;
    }

    private TestJob job() {
        return new TestJob("it", temp, port);
    }

    @Test
    void everyUpdateCountsOnceWhoeverIsKilled() throws Exception {
        Random random = new Random(11);
        List<String> kinds = List.of("agent", "job", "trainer");
        try {
            for (String kind : kinds) {
                start(kind);
            }
            for (int kill = 0; kill < KILLS; kill++) {
                // A kill counts when something is under way: one more round than at the last.
                awaitRounds(Math.min(kill + 1, ROUNDS - 1));
                String kind = kinds.get(kill % kinds.size());
                Thread.sleep(random.nextInt(400));
                running.get(kind).destroyForcibly().waitFor();
                start(kind);
            }
            awaitRounds(ROUNDS);
            assertThat(running.get("trainer").waitFor(60, TimeUnit.SECONDS))
                    .as("trainers hold their last receipt")
                    .isTrue();
            assertThat(running.get("trainer").exitValue()).isZero();
            for (int round = 1; round <= ROUNDS; round++) {
                assertThat(job().error(round, IDS)).as("round " + round).isLessThan(1e-6);
            }
        } finally {
            Files.writeString(temp.resolve("stop"), "");
            for (Process process : running.values()) {
                process.destroyForcibly().waitFor();
            }
        }
    }

    private void awaitRounds(int rounds) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(90);
        while (roundsDone() < rounds) {
            if (System.nanoTime() > end) {
                throw new AssertionError(
                        "round %d did not end; logs: %s".formatted(rounds, logs()));
            }
            Thread.sleep(20);
        }
    }

    private String logs() throws IOException {
        StringBuilder text = new StringBuilder();
        for (String what : running.keySet()) {
            List<String> lines = Files.readAllLines(temp.resolve(what + ".log"));
            text.append("%n--- %s, alive: %s%n".formatted(what, running.get(what).isAlive()));
            lines.subList(Math.max(0, lines.size() - 30), lines.size())
                    .forEach(line -> text.append(line).append('\n'));
        }
        return text.toString();
    }
}
