// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.cli.command.UsageException;
import io.tributary.node.agent.FreePorts;
import io.tributary.testbed.process.ChildProcess;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * Flower (PyPI's {@code flwr}) as its users run it: a SuperLink, a SuperNode for each client, and
 * an app of FedAvg whose clients do not train. All on the loopback, without telemetry.
 */
final class FlowerProcesses implements AutoCloseable {

    private static final long PATIENCE_SECONDS = 300;
    private static final long END_SECONDS = 10;
    private static final List<String> APP =
            List.of("pyproject.toml", "peer/__init__.py", "peer/app.py");

    private final Path scripts;
    private final Path work;
    private final int trainers;
    private final List<Process> processes = new ArrayList<>();

    /**
     * @param python whose packages have Flower
     * @throws UsageException when they have not
     */
    FlowerProcesses(String python, Path work, int trainers) throws IOException {
        this.work = work;
        this.trainers = trainers;
        this.scripts = scripts(python);
    }

    private static Path scripts(String python) throws IOException {
        String missing =
                "%s has no Flower; pip install flwr numpy, and name that Python by --python"
                        .formatted(python);
        try {
            Process asked =
                    new ProcessBuilder(
                                    python,
                                    "-c",
                                    "import flwr, numpy, sysconfig; print(sysconfig.get_path('scripts'))")
                            .redirectError(ProcessBuilder.Redirect.DISCARD)
                            .start();
            String answer = new String(asked.getInputStream().readAllBytes()).strip();
            if (asked.waitFor() != 0) {
                throw new UsageException(missing);
            }
            return Path.of(answer);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        } catch (IOException e) {
            throw new UsageException("'%s' cannot be run; %s".formatted(python, missing));
        }
    }

    /**
     * Runs rounds.
     *
     * @return the seconds of each, from its start until its updates are aggregated
     */
    List<Double> seconds(int params, int rounds) throws IOException, InterruptedException {
        Path app = work.resolve("app");
        for (String file : APP) {
            Path to = app.resolve(file);
            Files.createDirectories(to.getParent());
            try (InputStream from = getClass().getResourceAsStream("flower/" + file)) {
                Files.copy(from, to);
            }
        }
        int port = FreePorts.next(1 + trainers);
        String address = "127.0.0.1:" + port;
        Files.writeString(
                Files.createDirectories(work.resolve("home")).resolve("config.toml"),
                """
                [superlink]
                default = "peer"

                [superlink.peer]
                address = "%s"
                insecure = true
                """
                        .formatted(address));
        Path log = work.resolve("superlink.out");
        start(
                log,
                "flower-superlink",
                "--insecure",
                "--disable-runtime-dependency-installation",
                "--host",
                "127.0.0.1",
                "--port",
                Integer.toString(port));
        await(log, said -> said.contains("running on"), log);
        for (int trainer = 0; trainer < trainers; trainer++) {
            start(
                    work.resolve("supernode-%d.out".formatted(trainer)),
                    "flower-supernode",
                    "--insecure",
                    "--superlink",
                    address,
                    "--host",
                    "127.0.0.1",
                    "--port",
                    Integer.toString(port + 1 + trainer),
                    "--node-config",
                    "partition-id=" + trainer);
        }
        Path result = Files.createFile(work.resolve("result"));
        Path said = work.resolve("run.out");
        Process run =
                start(
                        said,
                        "flwr",
                        "run",
                        app.toString(),
                        "peer",
                        "--run-config",
                        "params=%d rounds=%d trainers=%d result='%s'"
                                .formatted(params, rounds, trainers, result));
        if (run.waitFor() != 0) {
            throw new IllegalStateException("'flwr run' failed: " + Files.readString(said));
        }
        return await(result, lines -> lines.lines().count() >= rounds, log)
                .lines()
                .map(this::seconds)
                .toList();
    }

    /** A line of what the app writes: updates, seconds, seconds of aggregation alone. */
    private double seconds(String line) {
        String[] words = line.split(" ");
        if (Integer.parseInt(words[0]) != trainers) {
            throw new IllegalStateException(
                    "a round of Flower had %s of %d updates".formatted(words[0], trainers));
        }
        return Double.parseDouble(words[1]);
    }

    private Process start(Path log, String script, String... arguments) throws IOException {
        List<String> line = new ArrayList<>(List.of(scripts.resolve(script).toString()));
        line.addAll(List.of(arguments));
        ProcessBuilder builder =
                new ProcessBuilder(line).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().put("FLWR_HOME", work.resolve("home").toString());
        builder.environment().put("FLWR_TELEMETRY_ENABLED", "0");
        // They start others of Flower's programs by name.
        builder.environment().merge("PATH", scripts + ":", (old, first) -> first + old);
        Process process = builder.start();
        processes.add(process);
        return process;
    }

    /** What a file holds, as soon as that is enough. */
    private static String await(Path file, Predicate<String> enough, Path log) throws IOException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        String found = Files.readString(file);
        while (!enough.test(found)) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException(
                        "Flower does not go on; its SuperLink says: " + Files.readString(log));
            }
            ChildProcess.pause();
            found = Files.readString(file);
        }
        return found;
    }

    /** Ends all of them, and whatever they have started. */
    @Override
    public void close() {
        List<ProcessHandle> all =
                processes.stream()
                        .map(Process::toHandle)
                        .flatMap(p -> Stream.concat(p.descendants(), Stream.of(p)))
                        .toList();
        processes.forEach(Process::destroy);
        try {
            for (Process process : processes) {
                process.waitFor(END_SECONDS, TimeUnit.SECONDS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        all.forEach(ProcessHandle::destroyForcibly);
    }
}
