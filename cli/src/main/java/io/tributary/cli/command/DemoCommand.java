// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.job.graph.TreeSchemas;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.topology.Topology;
import io.tributary.testbed.demo.Demo;
import io.tributary.testbed.demo.DemoOptions;
import io.tributary.testbed.transport.TransportKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code tributary demo}. */
@Command(
        name = "demo",
        description = "Runs a whole federation here: broker, Flink job with web UI, trainers.")
public final class DemoCommand implements Callable<Integer> {

    private static final int LEAVES = 2;
    private static final List<String> GROUPS = List.of("us", "eu", "asia");

    @Option(
            names = "--topology",
            paramLabel = "FILE|2tier|3tier|4tier",
            defaultValue = "3tier",
            description = "Flame schema, or a ready-made tree. Default: ${DEFAULT-VALUE}.")
    private String topology;

    @Option(
            names = "--trainers",
            paramLabel = "N",
            defaultValue = "12",
            description = "Trainers to start; 0 waits for yours. Default: ${DEFAULT-VALUE}.")
    private int trainers;

    @Mixin private PythonTrainersArguments python;

    @Option(
            names = "--minimum-trainers",
            paramLabel = "N",
            description =
                    "Trainers that a round waits for, yours too. Default: those that are started, or 1.")
    private Optional<Integer> minimumTrainers;

    @Option(
            names = "--groups",
            paramLabel = "us,eu,asia",
            split = ",",
            description =
                    "Groups of a ready-made tree of 3 or 4 tiers; one of 2 has one group. Default: us,eu,asia.")
    private List<String> groups = List.of();

    @Option(
            names = "--rounds",
            paramLabel = "N",
            defaultValue = "10",
            description = "Rounds. Default: ${DEFAULT-VALUE}.")
    private int rounds;

    @Mixin private DataArguments data;

    @Option(
            names = "--alpha",
            paramLabel = "A",
            defaultValue = "0.5",
            description =
                    "Dirichlet concentration of the trainers' shares. Default: ${DEFAULT-VALUE}.")
    private double alpha;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "1",
            description = "Seed of all that is random. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(
            names = "--timing",
            paramLabel = "eager|lazy",
            defaultValue = "eager",
            description = "When updates are folded. Default: ${DEFAULT-VALUE}.")
    private Timing timing;

    @Mixin private AlgorithmArguments algorithm;

    @Mixin private TransportKindArguments transport;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            converter = RegionArguments.Directory.class,
            description =
                    "With shm: the region directory. Default: " + RegionArguments.DIRECTORY + ".")
    private Optional<Path> directory;

    @Option(
            names = "--ui-port",
            paramLabel = "P",
            description =
                    "Port of Flink's web UI; 0: any that is free. Default: the first free one from 8081 on.")
    private Optional<Integer> uiPort;

    @Option(names = "--report", paramLabel = "FILE", description = "Writes a report in JSON.")
    private Optional<Path> report;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            description = "Keeps model-<round>.safetensors of each round.")
    private Optional<Path> out;

    @Option(names = "--hold", description = "Keeps the web UI up until Ctrl-C.")
    private boolean hold;

    @Option(names = "--quiet", description = "Leaves the live lines out.")
    private boolean quiet;

    @Override
    public Integer call() throws Exception {
        require(trainers >= 0, "--trainers", trainers, "0 or more");
        require(
                minimumTrainers.orElse(1) >= 1,
                "--minimum-trainers",
                minimumTrainers.orElse(1),
                "1 or more");
        require(rounds >= 1, "--rounds", rounds, "1 or more");
        require(alpha > 0 && Double.isFinite(alpha), "--alpha", alpha, "more than 0");
        for (int port : uiPort.stream().toList()) {
            Ports.requireListening("--ui-port", port);
        }
        for (Path file : report.stream().toList()) {
            require(
                    Files.isDirectory(file.toAbsolutePath().getParent())
                            && !Files.isDirectory(file),
                    "--report",
                    file,
                    "a file in a directory that exists");
        }
        for (Path directory : out.stream().toList()) {
            require(writable(directory), "--out", directory, "a directory that can be written");
        }
        new Demo(
                        new DemoOptions(
                                new DemoOptions.Tree(topology, compile()),
                                new DemoOptions.Trainers(
                                        trainers,
                                        python.count(),
                                        minimumTrainers.orElse(
                                                Math.max(1, trainers + python.count()))),
                                new DemoOptions.Data(data.directory(), alpha, seed),
                                new DemoOptions.Job(
                                        rounds,
                                        timing,
                                        algorithm.method(),
                                        transport.kind(),
                                        regions()),
                                new DemoOptions.Shown(uiPort, report, out, hold, quiet)),
                        System.out)
                .run();
        return 0;
    }

    private Path regions() {
        require(
                directory.isEmpty() || transport.kind() == TransportKind.SHM,
                "--dir",
                directory.map(Path::toString).orElse(""),
                "it only with --transport shm");
        return directory.orElse(TrustedDirectory.of(RegionArguments.DIRECTORY));
    }

    private static boolean writable(Path directory) {
        try {
            return Files.isWritable(Files.createDirectories(directory));
        } catch (IOException e) {
            return false;
        }
    }

    private Topology compile() {
        if (topology.matches("[234]tier")) {
            int tiers = topology.charAt(0) - '0';
            if (!groups.isEmpty() && tiers == 2) {
                System.out.println(
                        "--groups %s: not used, since a tree of 2 tiers has one group, '%s'"
                                .formatted(String.join(",", groups), TreeSchemas.ALL));
            }
            List<String> wanted = groups.isEmpty() ? GROUPS : groups;
            wanted.forEach(Names::checkGroup);
            return TreeSchemas.of(tiers, wanted, LEAVES);
        }
        require(
                groups.isEmpty(),
                "--groups",
                String.join(",", groups),
                "it only with a ready-made tree: a schema has groups of its own");
        Path file = Path.of(topology);
        require(Files.exists(file), "--topology", topology, "a file, or 2tier, 3tier, 4tier");
        return Topology.read(file, Optional.empty());
    }

    private static void require(boolean ok, String option, Object found, String allowed) {
        if (!ok) {
            throw new UsageException("%s %s: expected %s".formatted(option, found, allowed));
        }
    }
}
