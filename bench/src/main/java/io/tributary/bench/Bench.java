// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.Main;
import io.tributary.job.command.UsageException;
import io.tributary.protocol.Json;
import io.tributary.shm.region.TrustedDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.slf4j.bridge.SLF4JBridgeHandler;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code tributary bench}. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        description = "Measures a path, beside the limit measured in the same run.")
public final class Bench implements Callable<Integer> {

    @Option(
            names = "--path",
            paramLabel = "kernel|shm|kafka|mqtt|checkpoint|remote",
            required = true,
            description =
                    "kernel: the fold alone. shm, kafka, mqtt: end to end. checkpoint: what one costs a round in progress. remote: regions of another host.")
    private BenchPath path;

    @Option(
            names = "--params",
            paramLabel = "N",
            description =
                    "Float32 parameters of an update. Default: 11700000, for remote 60000000.")
    private Optional<Integer> params;

    @Option(
            names = "--updates",
            paramLabel = "N",
            description = "Updates in all. Default: 8 for kernel, 10 rounds for shm.")
    private Optional<Integer> updates;

    @Option(
            names = "--trainers",
            paramLabel = "N",
            description =
                    "Updates in a round. Default: 24 for shm, 12 for kafka and mqtt, 144 for checkpoint, 30 for remote.")
    private Optional<Integer> trainers;

    @Option(
            names = "--levels",
            paramLabel = "2|3|4",
            defaultValue = "3",
            description = "shm: tiers of the tree, trainers included. Default: ${DEFAULT-VALUE}.")
    private int levels;

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

    @Option(names = "--json", paramLabel = "FILE", description = "Writes the result there too.")
    private Optional<Path> json;

    /** What can be measured. */
    enum BenchPath {
        KERNEL(0),
        SHM(24),
        KAFKA(12),
        MQTT(12),
        CHECKPOINT(144),
        REMOTE(30);

        private final int trainers;

        BenchPath(int trainers) {
            this.trainers = trainers;
        }
    }

    /** Runs a benchmark. */
    public static void main(String[] args) {
        Runtime.getRuntime().addShutdownHook(new Thread(Main::removeEmptyLog));
        SLF4JBridgeHandler.removeHandlersForRootLogger();
        SLF4JBridgeHandler.install();
        CommandLine line =
                new CommandLine(new Bench())
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
                                });
        System.exit(line.execute(args));
    }

    @Override
    public Integer call() throws Exception {
        int params = this.params.orElse(path == BenchPath.REMOTE ? 60_000_000 : 11_700_000);
        require(params >= 1, "--params", params, "1 or more");
        require(trainers.orElse(1) >= 1, "--trainers", trainers.orElse(1), "1 or more");
        require(levels >= 2 && levels <= 4, "--levels", levels, "2, 3 or 4");
        require(hosts.orElse(2) >= 2, "--hosts", hosts.orElse(2), "2 or more");
        int all = trainers.orElse(path.trainers);
        require(
                path != BenchPath.REMOTE || all >= hosts.orElse(1),
                "--trainers",
                all,
                "one for each host at least");
        Object report =
                switch (path) {
                    case KERNEL -> KernelBench.run(params, updates.orElse(8), directory);
                    case SHM ->
                            new ShmBench(params, updates.orElse(10 * all), all, levels, directory)
                                    .run();
                    case KAFKA -> new KafkaBench(params, all, levels, directory).run();
                    case MQTT ->
                            new MqttBench(
                                            params,
                                            all,
                                            levels,
                                            Math.max(1, updates.orElse(5 * all) / all),
                                            directory)
                                    .run();
                    case REMOTE ->
                            hosts.isPresent()
                                    ? new HostsBench(
                                                    hosts.get(),
                                                    this.params.orElse(11_700_000),
                                                    all,
                                                    directory)
                                            .run()
                                    : new RemoteBench(params, directory).run();
                    case CHECKPOINT ->
                            new CheckpointBench(
                                            params,
                                            all,
                                            levels,
                                            Math.max(1, updates.orElse(10 * all) / all),
                                            directory)
                                    .run();
                };
        String text = Json.pretty(report);
        System.out.println(text);
        write(text);
        return 0;
    }

    private void write(String text) throws IOException {
        if (json.isPresent()) {
            Files.writeString(json.get(), text + "\n");
        }
    }

    private static void require(boolean ok, String option, Object found, String allowed) {
        if (!ok) {
            throw new UsageException("%s %s: expected %s".formatted(option, found, allowed));
        }
    }
}
