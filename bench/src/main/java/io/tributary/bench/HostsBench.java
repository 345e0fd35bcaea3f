// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.cluster.Distribution;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.cluster.Submission;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.node.Node;
import io.tributary.testbed.chaos.Chaos;
import io.tributary.testbed.chaos.ChaosOptions;
import io.tributary.testbed.chaos.ChaosOptions.Kind;
import io.tributary.testbed.chaos.ChaosReport;
import io.tributary.testbed.cluster.LocalCluster;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.JavaProcess;
import io.tributary.testbed.process.NetnsHosts;
import io.tributary.testbed.transport.TransportKind;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Reads a region of another host; runs a job on several hosts with shaped links, once with locality
 * and once without, where trainers on each host hand their updates over through its memory; and
 * cuts links while another job runs.
 */
final class HostsBench {

    private static final String LINK = "1gbit";
    private static final int SLOTS = 2;
    private static final int WARM_UP = 9;
    private static final int MEASURED = 5;
    private static final long ROUND_SECONDS = 300;
    private static final long METRICS_MILLIS = 700;
    private static final int PHASES = 2;

    /** Some cuts take longer than the time until the next one. */
    private static final int CUTS = 26;

    private static final Duration CUTS_EVERY = Duration.ofSeconds(15);
    private static final long CUTS_SEED = 3;
    private static final int CUT_TRAINERS = 5;

    private final int hosts;
    private final int params;
    private final int trainers;
    private final Path regions;

    /**
     * @param trainers updates in a round, the same number on each host
     * @param regions where regions are made that are read
     */
    HostsBench(int hosts, int params, int trainers, Path regions) {
        this.regions = regions;
        this.hosts = hosts;
        this.params = params;
        this.trainers = trainers / hosts * hosts;
    }

    List<Figure> run() throws Exception {
        List<Figure> figures = new ArrayList<>();
        figures.add(new RemoteBench(RemoteBench.PARAMS, PHASES, regions).run());
        List<Rounds> rounds = rounds();
        Rounds local = rounds.get(0);
        Rounds anywhere = rounds.get(1);
        figures.add(
                Figure.less("round on several hosts, with locality", "s", local.seconds())
                        .beside("without", anywhere.seconds()));
        figures.add(
                less("updates and sums that cross, with locality", "MB", local.readBytes() / 1e6)
                        .beside(
                                "a sum for each remote leaf",
                                List.of((hosts - 1) * (double) Double.BYTES * params / 1e6)));
        figures.add(less("updates and sums that cross, without", "MB", anywhere.readBytes() / 1e6));
        for (int i = 0; i < hosts; i++) {
            figures.add(link("sent", i, local.links().get(i).sentBytes()));
            figures.add(link("received", i, local.links().get(i).receivedBytes()));
        }
        ChaosReport cuts = cuts();
        figures.add(less("cuts after which no round ended", "", cuts.faults().size()));
        figures.add(
                Figure.more(
                        "rounds while links are cut", "", List.of(1.0 * cuts.course().rounds())));
        figures.add(less("updates counted twice", "", cuts.updates().countedTwice()));
        figures.add(less("updates lost", "", cuts.updates().lost()));
        return figures;
    }

    private static Figure link(String way, int host, long bytes) {
        return less("link of host %d, %s in a round".formatted(host + 1, way), "MB", bytes / 1e6);
    }

    private static Figure less(String name, String unit, double value) {
        return Figure.less(name, unit, List.of(value));
    }

    /** A job's rounds: seconds of each, bytes read on other hosts, bytes over each link. */
    private record Rounds(List<Double> seconds, long readBytes, List<Link> links) {}

    /** Bytes in a round: updates, sums, models, and all that Flink and the nodes say. */
    private record Link(long sentBytes, long receivedBytes) {}

    /** With locality, and without. */
    private List<Rounds> rounds() throws Exception {
        try (WorkDirectory work = WorkDirectory.create("bench")) {
            LocalCluster cluster = new LocalCluster(work.path().resolve("cluster"));
            try {
                cluster.start(hosts, Optional.of(LINK), SLOTS, Map.of());
                Rounds local = rounds(cluster, work.directory("local"), true);
                return List.of(local, rounds(cluster, work.directory("anywhere"), false));
            } finally {
                cluster.stop();
            }
        }
    }

    private ChaosReport cuts() throws Exception {
        return new Chaos(
                        new ChaosOptions(
                                CUTS_EVERY.multipliedBy(CUTS),
                                CUTS_EVERY,
                                CUTS_SEED,
                                TransportKind.SHM,
                                List.of(Kind.LINK),
                                new ChaosOptions.Trainers(CUT_TRAINERS, 0),
                                regions,
                                hosts,
                                "fedavg"),
                        System.err)
                .run();
    }

    private Path write(Path work, boolean locality) throws IOException {
        List<String> groups =
                IntStream.rangeClosed(1, hosts).mapToObj(HostTrainers::group).toList();
        Files.write(work.resolve("schema.json"), TreeSchemas.json(4, groups, 1));
        LiveRounds.model(work.resolve("model-0.safetensors"), params);
        return Files.writeString(
                work.resolve("job.yaml"),
                """
                job.name: bench-%s
                topology: schema.json
                parallelism: %d
                rounds:
                  count: %d
                  minimum-trainers: %d
                  quorum: %d
                  heartbeat-timeout: 0 s
                  locality: %b
                model:
                  initial: model-0.safetensors
                  directory: models
                  publish: immediate
                regions:
                  quota: 4 gb
                  node-port: %d
                checkpoints:
                  interval: 10 s
                  directory: checkpoints
                transports: [shm]
                """
                        .formatted(
                                work.getFileName(),
                                hosts * SLOTS,
                                // A last one, so that the job lives while it is asked.
                                WARM_UP + MEASURED + 1,
                                trainers,
                                trainers,
                                locality,
                                Mailbox.DEFAULT_PORT + Node.LOCAL_OFFSET));
    }

    private Rounds rounds(LocalCluster cluster, Path work, boolean locality) throws Exception {
        JobSpec spec = JobSpec.read(write(work, locality));
        FlinkRest rest = cluster.rest();
        String job =
                new Submission(rest, Distribution.jobJar())
                        .run(spec, work.resolve("job.yaml"), Optional.empty());
        List<ChildProcess> processes = new ArrayList<>();
        try {
            for (NetnsHosts.Host host : cluster.hosts().all()) {
                processes.add(trainers(host, work));
            }
            List<Counters> counters = new ArrayList<>();
            List<Double> seconds = new ArrayList<>();
            for (int round = 1; round <= WARM_UP + MEASURED; round++) {
                Path model = awaitModel(spec, round, processes, rest, job);
                // All that a round costs, before the next one is sent. Asking makes Flink look.
                Counters.read(cluster.hosts(), rest, job);
                TimeUnit.MILLISECONDS.sleep(METRICS_MILLIS);
                counters.add(Counters.read(cluster.hosts(), rest, job));
                double took =
                        (Files.getLastModifiedTime(model).toMillis() - begin(work, round)) / 1e3;
                System.err.printf("%s: round %d, %.2f s%n", spec.name(), round, took);
                if (round > WARM_UP) {
                    seconds.add(took);
                }
            }
            for (ChildProcess process : processes) {
                if (!process.await(ROUND_SECONDS) || process.exitCode().orElse(1) != 0) {
                    throw new IllegalStateException("trainers failed:\n" + process.logTail());
                }
            }
            Counters first = counters.get(WARM_UP - 1);
            Counters last = counters.get(counters.size() - 1);
            return new Rounds(
                    seconds,
                    (last.readBytes() - first.readBytes()) / MEASURED,
                    IntStream.range(0, hosts)
                            .mapToObj(
                                    i ->
                                            new Link(
                                                    (last.sent().get(i) - first.sent().get(i))
                                                            / MEASURED,
                                                    (last.received().get(i)
                                                                    - first.received().get(i))
                                                            / MEASURED))
                            .toList());
        } finally {
            processes.forEach(ChildProcess::close);
        }
    }

    private ChildProcess trainers(NetnsHosts.Host host, Path work) {
        return JavaProcess.start(
                JavaProcess.Command.here(
                                List.of("-Xmx512m"),
                                HostTrainers.class.getName(),
                                List.of(
                                        work.resolve("job.yaml").toString(),
                                        Integer.toString(host.number()),
                                        Integer.toString(trainers / hosts),
                                        Integer.toString(hosts)))
                        .on(host),
                log(work, host.number()));
    }

    private static Path log(Path work, int host) {
        return work.resolve("trainers-%d.out".formatted(host));
    }

    /** The round's model, as soon as it is whole; its other name waits for a checkpoint. */
    private static Optional<Path> model(JobSpec spec, int round) {
        Path[] found =
                Optional.ofNullable(
                                Path.of(spec.models(), "versions")
                                        .toFile()
                                        .listFiles(
                                                (directory, name) ->
                                                        name.startsWith(round + ".")
                                                                && name.endsWith(".safetensors")))
                        .stream()
                        .flatMap(Stream::of)
                        .map(File::toPath)
                        .toArray(Path[]::new);
        return found.length == 0 ? Optional.empty() : Optional.of(found[0]);
    }

    private static Path awaitModel(
            JobSpec spec, int round, List<ChildProcess> trainers, FlinkRest rest, String job) {
        long end = System.nanoTime() + ROUND_SECONDS * 1_000_000_000L;
        Optional<Path> model = model(spec, round);
        while (model.isEmpty()) {
            boolean failed = trainers.stream().anyMatch(p -> p.exitCode().orElse(0) != 0);
            if (failed || System.nanoTime() > end) {
                throw new IllegalStateException(why(spec, round, trainers, rest, job));
            }
            ChildProcess.pause();
            model = model(spec, round);
        }
        return model.get();
    }

    /** What a round that does not end waits for: the job, its last word, and the trainers'. */
    private static String why(
            JobSpec spec, int round, List<ChildProcess> trainers, FlinkRest rest, String job) {
        StringBuilder why =
                new StringBuilder(
                        "round %d does not end within %d s".formatted(round, ROUND_SECONDS));
        why.append("; the job is ").append(rest.state(job));
        rest.failure(job).ifPresent(f -> why.append(", and has failed with: ").append(f));
        for (int i = 0; i < trainers.size(); i++) {
            why.append(
                    "%ntrainers of host %d (%s):%n%s"
                            .formatted(
                                    i + 1,
                                    trainers.get(i)
                                            .exitCode()
                                            .map(c -> "exit code " + c)
                                            .orElse("alive"),
                                    trainers.get(i).logTail()));
        }
        return why.toString();
    }

    /** When the trainers of the last host could send, ms since 1970. */
    private long begin(Path work, int round) throws IOException {
        long begin = 0;
        for (int host = 1; host <= hosts; host++) {
            for (String line : Files.readAllLines(log(work, host))) {
                String prefix = "round %d begins ".formatted(round);
                if (line.startsWith(prefix)) {
                    begin = Math.max(begin, Long.parseLong(line.substring(prefix.length())));
                }
            }
        }
        return begin;
    }

    /** What has crossed so far. */
    private record Counters(long readBytes, List<Long> sent, List<Long> received) {

        static Counters read(NetnsHosts hosts, FlinkRest rest, String job) {
            return new Counters(
                    Stream.of("leaf", "middle", "top")
                            .mapToLong(level -> rest.metric(job, level, "remoteBytesRead"))
                            .sum(),
                    hosts.all().stream().map(hosts::sentBytes).toList(),
                    hosts.all().stream().map(hosts::receivedBytes).toList());
        }
    }
}
