// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.job.cluster.Distribution;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.cluster.RetainedCheckpoints;
import io.tributary.job.cluster.Submission;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.node.Node;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.testbed.chaos.ChaosOptions.Kind;
import io.tributary.testbed.cluster.ClusterState;
import io.tributary.testbed.cluster.LocalCluster;
import io.tributary.testbed.process.NetnsHosts;
import io.tributary.testbed.transport.KillableService;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/**
 * A cluster, a broker or an agent, and trainers, all processes of their own; one of them is killed
 * every few seconds and started again. In the end {@link Oracle} says whether all is right.
 */
public final class Chaos {

    static final List<String> GROUPS = List.of("us/west", "us/east", "eu");

    private static final int TASK_MANAGERS = 2;
    private static final int SLOTS = 2;
    private static final long PATIENCE_SECONDS = 120;

    /** Flink misses a task manager after 8 s. */
    private static final int LONGEST_CUT_SECONDS = 14;

    /** Flink goes on with the hosts that there are, soon after one is lost or comes. */
    static final Map<String, String> ELASTIC =
            Map.of(
                    "jobmanager.scheduler",
                    "adaptive",
                    "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout",
                    "2 s",
                    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling",
                    "2 s",
                    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout",
                    "2 s");

    private final ChaosOptions options;
    private final PrintStream out;
    private final Random random;
    private final Map<String, Integer> kills = new TreeMap<>();
    private final List<Recovery> recoveries = new ArrayList<>();
    private final List<String> faults = new ArrayList<>();

    /** Hosts that do not come back. */
    private final Set<Integer> lost = new TreeSet<>();

    public Chaos(ChaosOptions options, PrintStream out) {
        this.options = options;
        this.out = out;
        this.random = new Random(options.seed());
    }

    static Path config(Path directory) {
        return directory.resolve("job.yaml");
    }

    static Path trainers(Path directory) {
        return directory.resolve("trainers");
    }

    static Path stop(Path directory) {
        return directory.resolve("stop");
    }

    /** Runs it. */
    public ChaosReport run() throws Exception {
        try (WorkDirectory work = WorkDirectory.create("chaos");
                WorkDirectory regions = WorkDirectory.create(options.regions(), "chaos")) {
            return run(work.path(), regions.path());
        }
    }

    /** What a run is made of. */
    private record Scene(
            Path work,
            LocalCluster cluster,
            Optional<NetnsHosts> hosts,
            KillableService between,
            TrainerFleet fleet,
            JobSpec spec,
            Progress progress) {}

    private ChaosReport run(Path work, Path regions) throws Exception {
        long began = System.nanoTime();
        LocalCluster cluster = new LocalCluster(work.resolve("cluster"));
        try {
            start(cluster);
            Optional<NetnsHosts> hosts = cluster.state().flatMap(ClusterState::hosts);
            try (KillableService between =
                            hosts.flatMap(options.transport().onHosts())
                                    .map(KillableService::ofCluster)
                                    .orElseGet(
                                            () ->
                                                    options.transport()
                                                            .killable()
                                                            .apply(work, regions));
                    TrainerFleet fleet =
                            new TrainerFleet(options.trainers(), work, hosts, out::println)) {
                JobSpec spec =
                        ChaosJob.write(
                                work,
                                hosts.map(
                                                h ->
                                                        "node-port: "
                                                                + (Mailbox.DEFAULT_PORT
                                                                        + Node.LOCAL_OFFSET))
                                        .orElse("directory: " + regions),
                                between.uri(),
                                options.losesHosts() ? 1 : options.trainers().all(),
                                hosts.map(NetnsHosts::count).orElse(TASK_MANAGERS),
                                options.algorithm());
                Progress progress = new Progress();
                try (AutoCloseable ignored =
                        cluster.seen(spec.followed()).follow(spec.name(), progress)) {
                    return run(new Scene(work, cluster, hosts, between, fleet, spec, progress));
                }
            }
        } catch (RuntimeException e) {
            out.println("logs are kept in " + KeptLogs.keep(work));
            throw e;
        } finally {
            cluster.stop();
            out.printf(Locale.ROOT, "chaos: %.0f s in all%n", (System.nanoTime() - began) / 1e9);
        }
    }

    /** On hosts there is one task manager on each, with one slot: they share this machine. */
    private void start(LocalCluster cluster) {
        if (options.hosts() > 0) {
            cluster.start(
                    options.hosts(),
                    Optional.empty(),
                    1,
                    options.losesHosts() ? ELASTIC : Map.of());
        } else {
            cluster.start(TASK_MANAGERS, SLOTS);
        }
    }

    private ChaosReport run(Scene scene) throws Exception {
        submit(scene);
        scene.fleet().start();
        scene.progress().awaitRound(1, PATIENCE_SECONDS);
        long start = System.nanoTime();
        kill(scene);
        double seconds = (System.nanoTime() - start) / 1e9;
        say("no more kills   %s".formatted(scene.progress()));
        settle(scene.progress(), scene.cluster());
        say("stop            %s".formatted(scene.progress()));
        for (String late : scene.fleet().stop(PATIENCE_SECONDS)) {
            faults.add(
                    "trainer %s did not get its last receipt: %s"
                            .formatted(late, scene.fleet().lastWords(late)));
        }
        awaitLedgers(scene.progress(), scene.spec());
        return report(seconds, scene.fleet(), scene.spec(), scene.work());
    }

    private void say(String what) {
        out.printf("%tT  %s%n", LocalTime.now(), what);
    }

    private static void submit(Scene scene) throws IOException {
        new Submission(scene.cluster().rest(), Distribution.jobJar())
                .run(scene.spec(), config(scene.work()), RetainedCheckpoints.newest(scene.spec()));
    }

    private void kill(Scene scene) throws Exception {
        LocalCluster cluster = scene.cluster();
        long end = System.nanoTime() + options.length().toNanos();
        while (System.nanoTime() < end) {
            long next = System.nanoTime() + options.every().toNanos();
            Kind kind = options.kinds().get(random.nextInt(options.kinds().size()));
            String name = kind.name().toLowerCase(Locale.ROOT).replace('_', '-');
            say("kill %-12s  %s".formatted(name, scene.progress()));
            kills.merge(name, 1, Integer::sum);
            recoveries.forEach(Recovery::end);
            switch (kind) {
                case TASK_MANAGER -> {
                    int taskManagers = scene.hosts().map(NetnsHosts::count).orElse(TASK_MANAGERS);
                    cluster.killTaskManager(1 + random.nextInt(taskManagers));
                    recoveries.add(
                            Recovery.watch(cluster.rest(), scene.spec().name(), scene.progress()));
                    start(cluster);
                }
                case JOB_MANAGER -> {
                    cluster.killJobManager();
                    start(cluster);
                    submit(scene);
                }
                case TRAINER -> scene.fleet().killOne(random);
                case BROKER -> {
                    scene.between().kill().run();
                    scene.between().restart().run();
                }
                case AGENT -> {
                    if (scene.hosts().isPresent()) {
                        cluster.killAgent(1 + random.nextInt(scene.hosts().get().count()));
                        start(cluster);
                    } else {
                        scene.between().kill().run();
                        scene.between().restart().run();
                    }
                }
                case HOST -> {
                    int host = other(scene.hosts().orElseThrow());
                    scene.fleet().killOn(host);
                    cluster.killHost(host);
                    start(cluster);
                    scene.fleet().startOn(host);
                }
                case LOST_HOST -> lose(scene);
                case LINK -> cut(scene.hosts().orElseThrow(), scene.progress());
                default -> throw new AssertionError(kind);
            }
            // The pace is given, not waited for: what comes too late is killed in its recovery.
            TimeUnit.NANOSECONDS.sleep(Math.max(0, next - System.nanoTime()));
        }
    }

    /** The job goes on with the hosts that are left, and takes those that come in their place. */
    private void lose(Scene scene) {
        NetnsHosts hosts = scene.hosts().orElseThrow();
        if (lost.size() == hosts.count() - 1) {
            start(scene.cluster());
            lost.forEach(scene.fleet()::startOn);
            say("hosts %s are replaced; %s".formatted(lost, scene.progress()));
            lost.clear();
            return;
        }
        int host = other(hosts);
        scene.fleet().killOn(host);
        scene.cluster().killHost(host);
        lost.add(host);
    }

    /** Any host but the first, where the job manager is, and those that are lost. */
    private int other(NetnsHosts hosts) {
        int[] others =
                IntStream.rangeClosed(2, hosts.count()).filter(h -> !lost.contains(h)).toArray();
        return others[random.nextInt(others.length)];
    }

    /** Cuts a host off, for a moment or until it is missed; a round must end all the same. */
    private void cut(NetnsHosts hosts, Progress progress) throws InterruptedException {
        int before = progress.round();
        if (lost.size() == hosts.count() - 1) {
            return;
        }
        int number = other(hosts);
        int seconds = 1 + random.nextInt(LONGEST_CUT_SECONDS);
        hosts.cut(hosts.host(number));
        TimeUnit.SECONDS.sleep(seconds);
        hosts.mend(hosts.host(number));
        try {
            progress.awaitRound(before + 1, PATIENCE_SECONDS);
            say("host %d was cut off for %d s; %s".formatted(number, seconds, progress));
        } catch (IllegalStateException e) {
            faults.add(
                    "host %d was cut off for %d s: %s".formatted(number, seconds, e.getMessage()));
        }
    }

    /** When nothing is killed any more, all must go on by itself. */
    private void settle(Progress progress, LocalCluster cluster) throws InterruptedException {
        int round = progress.round();
        try {
            progress.awaitRound(round + 2, PATIENCE_SECONDS);
        } catch (IllegalStateException e) {
            FlinkRest rest = cluster.rest();
            List<String> states = rest.jobs().stream().map(FlinkRest.Job::state).toList();
            faults.add(
                    "of two rounds, not both ended within %d s after the last kill; %s; jobs are %s, task managers %s"
                            .formatted(PATIENCE_SECONDS, progress, states, rest.taskManagers()));
        }
    }

    /**
     * When all trainers have left, the last round closes with what it has; it is committed soon.
     */
    private void awaitLedgers(Progress progress, JobSpec spec) throws InterruptedException {
        try {
            progress.awaitEmptyRound(PATIENCE_SECONDS);
            PosixModelStore models = PosixModelStore.at(Path.of(spec.models()));
            Path last = models.model(progress.round());
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
            while (!Files.exists(models.ledger(progress.round())) || !Files.exists(last)) {
                if (System.nanoTime() > end) {
                    throw new IllegalStateException("model %s is not committed".formatted(last));
                }
                TimeUnit.MILLISECONDS.sleep(50);
            }
        } catch (IllegalStateException e) {
            faults.add("at the end: " + e.getMessage());
        }
    }

    private ChaosReport report(double seconds, TrainerFleet fleet, JobSpec spec, Path work)
            throws IOException {
        Oracle oracle =
                new Oracle(fleet.logs(), Path.of(spec.models()), Reference.of(options.algorithm()));
        List<String> all = new ArrayList<>(faults);
        all.addAll(oracle.faults());
        if (!all.isEmpty()) {
            out.println("logs are kept in " + KeptLogs.keep(work));
        }
        List<Recovery> complete = recoveries.stream().filter(Recovery::complete).toList();
        return new ChaosReport(
                new ChaosReport.Course(
                        options.transport().scheme(),
                        seconds,
                        options.seed(),
                        oracle.rounds(),
                        kills),
                oracle.updates(),
                oracle.worstError(),
                new ChaosReport.Recoveries(
                        complete.stream().map(Recovery::seconds).toList(),
                        complete.stream().map(Recovery::beyondFlinkSeconds).toList(),
                        (int) recoveries.stream().filter(Recovery::cutOff).count()),
                all);
    }
}
