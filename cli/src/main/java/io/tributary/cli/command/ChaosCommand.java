// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.operators.rule.Parameters;
import io.tributary.protocol.Json;
import io.tributary.testbed.chaos.Chaos;
import io.tributary.testbed.chaos.ChaosOptions;
import io.tributary.testbed.chaos.ChaosOptions.Kind;
import io.tributary.testbed.chaos.ChaosReport;
import io.tributary.testbed.transport.TransportKind;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code tributary chaos}. */
@Command(
        name = "chaos",
        description =
                "Kills processes of a real cluster at random, and checks that no update was lost or counted twice.")
public final class ChaosCommand implements Callable<Integer> {

    @Option(
            names = "--minutes",
            paramLabel = "M",
            defaultValue = "2",
            description = "How long. Default: ${DEFAULT-VALUE}.")
    private double minutes;

    @Option(
            names = "--every",
            paramLabel = "SECONDS",
            defaultValue = "10",
            description = "Time between kills. Default: ${DEFAULT-VALUE}.")
    private double every;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "1",
            description = "Of what is killed when. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Mixin private TransportKindArguments transport;

    @Option(
            names = "--hosts",
            paramLabel = "N",
            defaultValue = "0",
            description =
                    "Runs on N hosts made of network namespaces; root only. Default: this machine.")
    private int hosts;

    @Option(
            names = "--kill",
            paramLabel = "task-manager,job-manager,trainer,broker,agent,host,link,lost-host",
            split = ",",
            description =
                    "What is killed; host and link with --hosts. Default: all that there is. With lost-host, hosts do not come back until one is left; trainer and link may be named beside it.")
    private List<String> kill = List.of();

    @Option(
            names = "--trainers",
            paramLabel = "N",
            defaultValue = "5",
            description = "Trainers, a process each. Default: ${DEFAULT-VALUE}.")
    private int trainers;

    @Option(
            names = "--algorithm",
            paramLabel = "fedavg|fedadam|scaffold",
            defaultValue = "fedavg",
            description =
                    "How updates become a model; what it remembers is checked too. Default: ${DEFAULT-VALUE}.")
    private String algorithm;

    @Mixin private PythonTrainersArguments python;

    @Mixin private RegionArguments regions;

    @Option(names = "--report", paramLabel = "FILE", description = "Writes the report as JSON.")
    private Optional<Path> file;

    @Override
    public Integer call() throws Exception {
        if (!(minutes > 0) || !(every > 0)) {
            throw new UsageException("--minutes and --every: expected more than 0");
        }
        if (trainers < 0 || trainers + python.count() < 2) {
            throw new UsageException(
                    "--trainers %d: expected 2 or more with those in Python".formatted(trainers));
        }
        if (hosts != 0 && hosts < 2) {
            throw new UsageException("--hosts %d: expected 2 or more".formatted(hosts));
        }
        if (hosts > 0 && transport.kind() == TransportKind.KAFKA) {
            throw new UsageException("--hosts: expected --transport mqtt or shm");
        }
        if (!ChaosOptions.ALGORITHMS.contains(algorithm)) {
            throw new UsageException(
                    "--algorithm %s: expected %s"
                            .formatted(
                                    algorithm,
                                    Parameters.oneOf(algorithm, ChaosOptions.ALGORITHMS)));
        }
        ChaosReport report =
                new Chaos(
                                new ChaosOptions(
                                        seconds(60 * minutes),
                                        seconds(every),
                                        seed,
                                        transport.kind(),
                                        kinds(),
                                        new ChaosOptions.Trainers(trainers, python.count()),
                                        regions.directory(),
                                        hosts,
                                        algorithm),
                                System.out)
                        .run();
        if (file.isPresent()) {
            Files.writeString(file.get(), Json.pretty(report) + "\n");
        }
        print(report);
        return report.right() ? 0 : 1;
    }

    private static Duration seconds(double seconds) {
        return Duration.ofMillis(Math.round(seconds * 1000));
    }

    private List<Kind> kinds() {
        List<Kind> usual = ChaosOptions.kinds(transport.kind(), hosts > 0);
        boolean losing = hosts > 0 && kill.contains(name(Kind.LOST_HOST));
        List<Kind> possible = losing ? ChaosOptions.BESIDE_LOST_HOSTS : usual;
        List<Kind> wanted = new ArrayList<>();
        for (String name : kill) {
            Kind kind =
                    possible.stream()
                            .filter(k -> name(k).equals(name))
                            .findFirst()
                            .orElseThrow(
                                    () ->
                                            new UsageException(
                                                    "--kill %s: with %s there are %s"
                                                            .formatted(
                                                                    name,
                                                                    transport.kind(),
                                                                    possible.stream()
                                                                            .map(ChaosCommand::name)
                                                                            .toList())));
            wanted.add(kind);
        }
        return wanted.isEmpty() ? usual : wanted;
    }

    private static String name(Kind kind) {
        return kind.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static void print(ChaosReport report) {
        System.out.printf(
                Locale.ROOT,
                "%nrounds %d, kills %s%nupdates: sent %d, counted once %d, counted twice %d, lost %d; rejected %d, unanswered %d%nworst model error %.1e%n",
                report.course().rounds(),
                report.course().kills(),
                report.updates().sent(),
                report.updates().countedOnce(),
                report.updates().countedTwice(),
                report.updates().lost(),
                report.updates().rejected(),
                report.updates().unanswered(),
                report.worstError());
        if (!report.recoveries().recoverySeconds().isEmpty()) {
            System.out.printf(
                    Locale.ROOT,
                    "task manager killed: the round went on after %s s, %s s of them after Flink's restart; %d recoveries were cut off by the next kill%n",
                    rounded(report.recoveries().recoverySeconds()),
                    rounded(report.recoveries().beyondFlinkSeconds()),
                    report.recoveries().recoveriesCutOff());
        }
        report.faults().forEach(fault -> System.out.println("FAULT " + fault));
        System.out.println(report.right() ? "all right" : "NOT right");
    }

    private static List<String> rounded(List<Double> values) {
        return values.stream().map(v -> String.format(Locale.ROOT, "%.1f", v)).toList();
    }
}
