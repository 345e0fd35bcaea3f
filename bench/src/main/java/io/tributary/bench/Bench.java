// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.tributary.cli.Main;
import io.tributary.cli.command.UsageException;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.protocol.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.slf4j.bridge.SLF4JBridgeHandler;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code tributary bench}. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        subcommands = CompareCommand.class,
        description = "Measures a path, beside the limit measured in the same run.")
public final class Bench implements Callable<Integer> {

    private static final int PARAMS = 11_700_000;

    @Option(
            names = "--path",
            paramLabel =
                    "all|kernel|shm|optimizer|latency|kafka|mqtt|checkpoint|coordinator|remote|start|peer",
            description = {
                "kernel: the fold alone. shm, kafka, mqtt: end to end. optimizer: shm by FedAdam beside FedAvg. latency: what the last update of a round waits for.",
                "checkpoint: what one costs a round in progress. coordinator: joins, updates, a close, of very many trainers.",
                "remote: regions of another host. start: commands.",
                "peer: whole rounds, beside Flower's. all: each of them, and what cannot be measured here is left out."
            })
    private Optional<BenchPath> path;

    @Option(
            names = "--quick",
            description =
                    "Fewer rounds, so that 'all' takes five minutes or less on two cores; the figures move more.")
    private boolean quick;

    @Option(
            names = "--runs",
            paramLabel = "N",
            defaultValue = "1",
            description =
                    "Runs, each in a process of its own; 'compare' needs 4 or more. Default: ${DEFAULT-VALUE}.")
    private int runs;

    @Option(
            names = "--params",
            paramLabel = "N",
            description =
                    "Float32 parameters of an update. Default: 11700000, for remote 60000000.")
    private Optional<Integer> params;

    @Option(
            names = "--rounds",
            paramLabel = "N",
            description =
                    "Measured rounds of shm, optimizer, latency, kafka, mqtt, checkpoint and peer.")
    private Optional<Integer> rounds;

    @Option(
            names = "--trainers",
            paramLabel = "N",
            description =
                    "Updates in a round. Default: 8 for kernel, 24 for shm, optimizer and latency, 12 for kafka and mqtt, 144 for checkpoint, 1000000 for coordinator, 30 for remote, 4 for peer.")
    private Optional<Integer> trainers;

    @Option(
            names = "--levels",
            paramLabel = "2|3|4",
            defaultValue = "3",
            description = "Tiers of the tree, trainers included. Default: ${DEFAULT-VALUE}.")
    private int levels;

    @Option(
            names = "--backend",
            paramLabel = "heap|rocksdb|forst",
            defaultValue = "heap",
            description =
                    "Where Flink has its state, for coordinator, shm, latency and checkpoint. Default: ${DEFAULT-VALUE}.")
    private Backend backend;

    @Option(
            names = "--hosts",
            paramLabel = "N",
            description =
                    "remote: also rounds on N hosts, with locality and without, and while links are cut; a quarter of an hour.")
    private Optional<Integer> hosts;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            description = "The region directory. Default: " + TrustedDirectory.DEFAULT + ".")
    private Path directory = TrustedDirectory.of(TrustedDirectory.DEFAULT);

    @Option(
            names = "--python",
            paramLabel = "FILE",
            defaultValue = "python3",
            description =
                    "peer: a Python that has Flower (pip install flwr numpy). Default: ${DEFAULT-VALUE}.")
    private String python;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description =
                    "Writes the result there too. coordinator: each figure is a field of its own as well.")
    private Optional<Path> json;

    private Optional<CoordinatorBench.Result> coordinator = Optional.empty();

    /** What can be measured. */
    enum BenchPath {
        ALL(1),
        KERNEL(8),
        SHM(24),
        OPTIMIZER(24),
        LATENCY(24),
        KAFKA(12),
        MQTT(12),
        CHECKPOINT(144),
        COORDINATOR(1_000_000),
        REMOTE(30),
        START(1),
        PEER(4);

        private final int trainers;

        BenchPath(int trainers) {
            this.trainers = trainers;
        }

        /** As it is written after {@code --path}. */
        String option() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Runs a benchmark. */
    public static void main(String[] args) {
        Runtime.getRuntime().addShutdownHook(new Thread(Main::removeEmptyLog));
        SLF4JBridgeHandler.removeHandlersForRootLogger();
        SLF4JBridgeHandler.install();
        System.exit(run(args));
    }

    /** Runs a command and returns its exit code. */
    static int run(String... args) {
        return new CommandLine(new Bench())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler(
                        (e, command, parsed) -> {
                            System.err.println("tributary: " + e.getMessage());
                            return e instanceof UsageException ? 2 : 1;
                        })
                .setParameterExceptionHandler(
                        (e, parsed) -> {
                            System.err.println("tributary: " + e.getMessage());
                            return 2;
                        })
                .execute(args);
    }

    @Override
    public Integer call() throws Exception {
        require(path.isPresent(), "--path", "is missing", "one of " + List.of(BenchPath.values()));
        require(runs >= 1, "--runs", runs, "1 or more");
        require(params.orElse(1) >= 1, "--params", params.orElse(1), "1 or more");
        require(rounds.orElse(1) >= 1, "--rounds", rounds.orElse(1), "1 or more");
        require(trainers.orElse(1) >= 1, "--trainers", trainers.orElse(1), "1 or more");
        require(levels >= 2 && levels <= 4, "--levels", levels, "2, 3 or 4");
        require(hosts.orElse(2) >= 2, "--hosts", hosts.orElse(2), "2 or more");
        int all = trainers.orElse(path.get().trainers);
        require(
                path.get() != BenchPath.REMOTE || all >= hosts.orElse(1),
                "--trainers",
                all,
                "one for each host at least");
        require(
                path.get() != BenchPath.COORDINATOR || all >= CoordinatorBench.FEWEST,
                "--trainers",
                all,
                CoordinatorBench.FEWEST + " or more");
        Machine machine = Machine.of(directory);
        Report report =
                path.get() == BenchPath.ALL || runs > 1
                        ? new SeveralRuns(machine, paths(), runs, options()).run()
                        : Report.of(machine, measure());
        System.out.print(report.table());
        write(report);
        return report.failed().isEmpty() ? 0 : 1;
    }

    private List<BenchPath> paths() {
        return path.get() == BenchPath.ALL
                ? Stream.of(BenchPath.values()).filter(p -> p != BenchPath.ALL).toList()
                : List.of(path.get());
    }

    /** What is said to each process. */
    private List<String> options() {
        List<String> options = new ArrayList<>();
        if (quick) {
            options.add("--quick");
        }
        params.ifPresent(n -> options.addAll(List.of("--params", n.toString())));
        rounds.ifPresent(n -> options.addAll(List.of("--rounds", n.toString())));
        trainers.ifPresent(n -> options.addAll(List.of("--trainers", n.toString())));
        hosts.ifPresent(n -> options.addAll(List.of("--hosts", n.toString())));
        options.addAll(
                List.of(
                        "--backend",
                        backend.toString(),
                        "--levels",
                        Integer.toString(levels),
                        "--dir",
                        directory.toString(),
                        "--python",
                        python));
        return options;
    }

    private List<Figure> measure() throws Exception {
        Effort effort = quick ? Effort.QUICK : Effort.FULL;
        int params = this.params.orElse(PARAMS);
        int all = trainers.orElse(path.get().trainers);
        return switch (path.get()) {
            case ALL -> throw new IllegalStateException("it has processes of its own");
            case KERNEL -> KernelBench.run(params, all, directory, effort);
            case SHM -> new ShmBench(load(effort.of(15, 40), effort.of(6, 20)), directory).run();
            case OPTIMIZER ->
                    new OptimizerBench(load(effort.of(8, 15), effort.of(6, 15)), directory, 3)
                            .run();
            case LATENCY ->
                    new LatencyBench(load(effort.of(1, 5), effort.of(3, 15)), directory).run();
            case KAFKA ->
                    new KafkaBench(
                                    load(effort.of(4, 5), effort.of(5, 10)),
                                    effort.of(1, 3),
                                    directory)
                            .run();
            case MQTT -> new MqttBench(load(effort.of(3, 8), effort.of(3, 10)), directory).run();
            case CHECKPOINT ->
                    new CheckpointBench(load(effort.of(2, 4), effort.of(2, 10)), directory).run();
            case COORDINATOR -> {
                int most = trainers.orElse(effort.of(100_000, BenchPath.COORDINATOR.trainers));
                coordinator = Optional.of(new CoordinatorBench(most, backend).run());
                yield coordinator.get().figures();
            }
            case REMOTE ->
                    hosts.isPresent()
                            ? new HostsBench(hosts.get(), params, all, directory).run()
                            : List.of(
                                    new RemoteBench(
                                                    this.params.orElse(RemoteBench.PARAMS),
                                                    effort.of(1, 2),
                                                    directory)
                                            .run());
            case START -> new StartBench(effort.of(1, 5)).run();
            case PEER ->
                    new PeerBench(
                                    load(effort.of(5, 20), effort.of(10, 20)),
                                    effort.of(2, 5),
                                    python,
                                    directory)
                            .run();
        };
    }

    private Load load(int warmUp, int measured) {
        return new Load(
                params.orElse(PARAMS),
                trainers.orElse(path.get().trainers),
                levels,
                warmUp,
                rounds.orElse(measured),
                backend);
    }

    private void write(Report report) throws IOException {
        if (json.isPresent()) {
            ObjectNode tree = (ObjectNode) Json.tree(Json.encode(report));
            coordinator.ifPresent(c -> tree.setAll((ObjectNode) Json.tree(Json.encode(c))));
            Files.writeString(json.get(), tree.toPrettyString() + "\n");
        }
    }

    private static void require(boolean ok, String option, Object found, String allowed) {
        if (!ok) {
            throw new UsageException("%s %s: expected %s".formatted(option, found, allowed));
        }
    }
}
