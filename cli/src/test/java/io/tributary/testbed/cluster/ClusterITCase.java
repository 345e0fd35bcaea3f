// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.tributary.cli.testutils.Cli;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.cluster.Distribution;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.cluster.Submission;
import io.tributary.job.config.JobModel;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.JobListener;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundLedger.Entry;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.trainer.TrainerClient;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The job's jar on a cluster of processes, over a real Kafka, with kill -9 in each phase. */
@Timeout(200)
class ClusterITCase {

    private static final List<String> IDS = List.of("t-1", "t-2", "t-3", "t-4");
    private static final Duration PATIENCE = Duration.ofSeconds(120);

    @TempDir static Path shared;
    private static KafkaProcess kafka;
    private static LocalCluster cluster;

    @TempDir Path temp;

    @BeforeAll
    static void start() {
        kafka = KafkaProcess.start(shared.resolve("kafka"));
        cluster = new LocalCluster(shared.resolve("cluster"));
        cluster.start(1, 2);
    }

    @AfterAll
    static void stop() {
        cluster.stop();
        kafka.close();
    }

    /** A test that fails must not leave the next one without slots. */
    @AfterEach
    void cancelJobs() {
        cluster.start(1, 2);
        FlinkRest rest = cluster.rest();
        rest.jobs().stream()
                .filter(FlinkRest.Job::live)
                .map(FlinkRest.Job::id)
                .forEach(rest::cancel);
        Awaitility.await()
                .atMost(PATIENCE)
                .until(() -> rest.jobs().stream().noneMatch(FlinkRest.Job::live));
    }

    private Path config(String name, int rounds, Path schema) throws IOException {
        SmallModel.write(temp.resolve("model-0.safetensors"), 0);
        return Files.writeString(
                temp.resolve("job.yaml"),
                """
                job.name: %s
                topology: %s
                parallelism: 2
                rounds:
                  count: %d
                  minimum-trainers: 4
                  quorum: 4
                  heartbeat-timeout: 60 s
                model:
                  initial: model-0.safetensors
                  directory: models
                  shard-elements: 20000
                transports: ["kafka://%s"]
                regions.directory: %s
                checkpoints:
                  interval: 1 s
                  directory: checkpoints
                """
                        .formatted(
                                name,
                                schema,
                                rounds,
                                kafka.options().bootstrapServers(),
                                temp.resolve("regions")));
    }

    private Path schema(int tiers, List<String> groups, int leaves) throws IOException {
        return Files.write(
                temp.resolve("schema-%d-%d.json".formatted(tiers, leaves)),
                TreeSchemas.json(tiers, groups, leaves));
    }

    private static Submission submission() {
        return new Submission(cluster.rest(), Distribution.jobJar());
    }

    private CompletableFuture<Void> train(JobSpec spec, String id) {
        return train(
                spec, spec.name(), id, TestJob.GROUPS.get(IDS.indexOf(id) % TestJob.GROUPS.size()));
    }

    private CompletableFuture<Void> train(JobSpec spec, String name, String id, String group) {
        return CompletableFuture.runAsync(
                () -> {
                    try (TrainerClient client =
                            TrainerClient.builder()
                                    .job(name)
                                    .id(id)
                                    .group(group)
                                    .transport(spec.followed().uri())
                                    .connect()) {
                        client.join();
                        TestJob.train(client);
                    }
                },
                task -> new Thread(task, id).start());
    }

    private Path model(int round) {
        return PosixModelStore.at(temp.resolve("models")).model(round);
    }

    private void assertRight(String name, int rounds) throws IOException {
        TestJob updates = new TestJob(name, temp, 1);
        for (int round = 1; round <= rounds; round++) {
            assertThat(updates.error(model(round), round, IDS)).isLessThan(1e-6);
            RoundLedger ledger =
                    Json.decode(
                            Files.readAllBytes(
                                    PosixModelStore.at(temp.resolve("models")).ledger(round)),
                            RoundLedger.class);
            assertThat(ledger.updates())
                    .extracting(Entry::trainer)
                    .containsExactlyInAnyOrderElementsOf(IDS);
        }
    }

    private static void awaitFinished(String job) {
        Awaitility.await("FINISHED")
                .atMost(PATIENCE)
                .until(() -> cluster.rest().state(job).equals("FINISHED"));
    }

    /** Where a round is, as can be seen from outside, when the task manager is killed. */
    enum Phase {
        STAGING,
        FOLDING,
        LEAF_CLOSED,
        TOP_CLOSED,
        PUBLISHED_NOT_COMMITTED
    }

    @ParameterizedTest
    @EnumSource
    void aTaskManagerThatIsKilledLosesNothing(Phase phase) throws Exception {
        String name = phase.name().toLowerCase().replace('_', '-');
        Path config = config(name, 2, schema(4, TestJob.GROUPS, 2));
        JobSpec spec = JobSpec.read(config);
        Seen seen = new Seen();
        try (AutoCloseable ignored = spec.followed().follow(name, seen)) {
            String job = submission().run(spec, config, Optional.empty());
            AtomicBoolean killed = new AtomicBoolean();
            Thread killer =
                    new Thread(
                            () -> {
                                BooleanSupplier reached = reached(phase, seen);
                                while (!reached.getAsBoolean()) {
                                    Thread.onSpinWait();
                                }
                                cluster.killTaskManager(1);
                                killed.set(true);
                                cluster.start(1, 2);
                            });
            killer.start();
            List<CompletableFuture<Void>> trainers =
                    IDS.stream().map(id -> train(spec, id)).toList();
            for (CompletableFuture<Void> trainer : trainers) {
                trainer.get();
            }
            killer.join();
            assertThat(killed).isTrue();
            awaitFinished(job);
            assertThat(
                            cluster.rest()
                                    .get("/jobs/" + job + "/checkpoints")
                                    .at("/counts/restored")
                                    .asInt())
                    .as("the job was restored, or began anew")
                    .isGreaterThanOrEqualTo(phase == Phase.STAGING ? 0 : 1);
        }
        assertRight(name, 2);
    }

    private BooleanSupplier reached(Phase phase, Seen seen) {
        return switch (phase) {
            case STAGING -> () -> !RegionDirectory.list(temp.resolve("regions")).isEmpty();
            case FOLDING -> () -> seen.any(s -> s.updates() >= 2);
            case LEAF_CLOSED -> () -> seen.any(s -> s.state() == RoundStatus.State.CLOSED);
            case TOP_CLOSED -> () -> versions(".part") || versions(".safetensors");
            case PUBLISHED_NOT_COMMITTED -> () -> versions(".safetensors");
        };
    }

    /**
     * Whether a model is being written, for which the top has given its first shards, or is whole.
     */
    private boolean versions(String suffix) {
        String[] files =
                temp.resolve("models/versions").toFile().list((d, f) -> f.endsWith(suffix));
        return files != null && files.length > 0;
    }

    /** What the job has said. */
    private static final class Seen implements JobListener {

        private final List<RoundStatus> all = new CopyOnWriteArrayList<>();

        @Override
        public void status(RoundStatus status) {
            all.add(status);
        }

        @Override
        public void model(ModelDescription model) {
            // Files say enough.
        }

        boolean any(java.util.function.Predicate<RoundStatus> condition) {
            return all.stream().anyMatch(condition);
        }
    }

    private static Cli submit(Path config, String... more) {
        List<String> arguments =
                new ArrayList<>(List.of("submit", "--config", config.toString(), "--cluster"));
        arguments.add(cluster.rest().url().replaceFirst("http://", ""));
        arguments.addAll(List.of(more));
        return Cli.run(arguments.toArray(String[]::new));
    }

    @Test
    void submitSaysWhatBecomesOfTheJob() throws Exception {
        Path config = config("told", 1, schema(4, TestJob.GROUPS, 2));
        String good = Files.readString(config);
        Files.writeString(config, good.replace(temp.resolve("regions").toString(), "/proc/x"));
        Cli broken = submit(config, "--detached");
        assertThat(broken.exit()).isEqualTo(1);
        assertThat(broken.out()).contains("job told (", "warning: it restarts: ", "/proc/x");
        cancelJobs();

        Files.writeString(config, good);
        Cli fresh = submit(config, "--detached", "--from-latest");
        assertThat(fresh.out()).contains("there is no checkpoint to go on from");
        assertThat(fresh.exit()).as(fresh.out() + fresh.err()).isZero();
        String job =
                fresh.out().replaceAll("(?s).*job told \\(([0-9a-f]+)\\) is submitted.*", "$1");
        JobSpec spec = JobSpec.read(config);
        IDS.forEach(id -> train(spec, id));
        awaitFinished(job);
        Cli again = submit(config, "--from-latest");
        assertThat(again.exit()).isEqualTo(2);
        assertThat(again.err()).contains(job + ") has finished, so there is nothing to go on from");
    }

    private Path with(Path config, String property, String value) throws IOException {
        return Files.writeString(
                config,
                Files.readString(config)
                        + "kafka.properties:\n  %s: '%s'\n".formatted(property, value));
    }

    /** Kafka rejects transactions that last longer than it allows, and will do so for ever. */
    @Test
    void aJobThatNoRestartMendsEndsAndSaysWhy() throws Exception {
        Path config =
                with(
                        config("hopeless", 1, schema(3, TestJob.GROUPS, 1)),
                        "transaction.timeout.ms",
                        "1000000000");
        Cli told = submit(config);
        assertThat(told.exit()).isEqualTo(1);
        assertThat(told.err())
                .startsWith("tributary: the job has failed: ")
                .contains("transaction timeout is larger than the maximum value")
                .contains("--from-latest")
                .hasLineCount(1);
        assertThat(
                        Cli.run("cluster", "status", "--dir", shared.resolve("cluster").toString())
                                .out())
                .containsPattern("FAILED +hopeless\\R +failed: .*transaction timeout");
    }

    /** Its clients wait for it for 15 s; who asks the cluster meanwhile does not. */
    @Test
    void aKafkaThatDoesNotAnswerKeepsNobodyFromTheCluster() throws Exception {
        Path config = config("nowhere", 1, schema(3, TestJob.GROUPS, 1));
        Files.writeString(
                config,
                Files.readString(config)
                        .replace(kafka.options().bootstrapServers(), "127.0.0.1:1"));
        CompletableFuture<Cli> submission =
                CompletableFuture.supplyAsync(() -> submit(config, "--detached"));
        AtomicLong longest = new AtomicLong();
        await("the submission")
                .atMost(TestJob.PATIENCE)
                .pollInterval(Duration.ofMillis(200))
                .until(
                        () -> {
                            long start = System.nanoTime();
                            cluster.rest().jobs();
                            longest.accumulateAndGet(System.nanoTime() - start, Math::max);
                            return submission.isDone();
                        });
        Cli told = submission.get();
        cancelJobs();
        assertThat(told.exit()).as(told.err()).isEqualTo(1);
        assertThat(told.out())
                .contains("job nowhere (", "is submitted")
                .contains("it restarts: Kafka at 127.0.0.1:1: ")
                .contains("it stays on the cluster", "'./tributary cancel nowhere' ends it");
        assertThat(Duration.ofNanos(longest.get())).isLessThan(Duration.ofSeconds(10));
    }

    @Test
    void topicsThatAreOtherwiseEndTheJobToo() throws Exception {
        try (Admin admin = Admin.create(kafka.options().client())) {
            admin.createTopics(
                            List.of(
                                    new NewTopic("crooked.model", 1, (short) 1)
                                            .configs(Map.of("cleanup.policy", "delete"))))
                    .all()
                    .get();
        }
        Cli told = submit(config("crooked", 1, schema(3, TestJob.GROUPS, 1)), "--detached");
        assertThat(told.exit()).isEqualTo(1);
        assertThat(told.err())
                .contains("the job has failed: topic 'crooked.model' has ")
                .contains("alter it with kafka-configs");
    }

    /** Neither as an argument, nor as a setting, nor in a log. */
    @Test
    void secretsAreNotShown() throws Exception {
        String inline = "s3cret-in-the-file";
        Path file = Files.writeString(temp.resolve("secret"), "s3cret-elsewhere");
        Path config =
                with(
                        config("discreet", 1, schema(3, TestJob.GROUPS, 1)),
                        "ssl.key.password",
                        inline);
        Files.writeString(
                config,
                Files.readString(config)
                        .replace(
                                "      ssl.key.password",
                                "      ssl.truststore.password: '${file:%s}'\n      ssl.key.password"
                                        .formatted(file)));
        Cli cli = submit(config, "--detached");
        assertThat(cli.exit()).as(cli.out() + cli.err()).isZero();
        String job =
                cli.out().replaceAll("(?s).*job discreet \\(([0-9a-f]+)\\) is submitted.*", "$1");
        StringBuilder shown = new StringBuilder(cli.out()).append(cli.err());
        for (String path :
                List.of(
                        "/jobs/" + job,
                        "/jobs/" + job + "/config",
                        "/jobs/" + job + "/plan",
                        "/jobs/" + job + "/exceptions",
                        "/jobs/" + job + "/jobmanager/config",
                        "/jobs/" + job + "/jobmanager/environment",
                        "/jobs/" + job + "/checkpoints/config",
                        "/jobmanager/config",
                        "/jobmanager/environment",
                        "/jars")) {
            shown.append(cluster.rest().get(path));
        }
        try (Stream<Path> logs = Files.walk(shared.resolve("cluster/log"))) {
            for (Path log : logs.filter(Files::isRegularFile).toList()) {
                shown.append(Files.readString(log));
            }
        }
        assertThat(shown.toString())
                .contains("discreet")
                .doesNotContain(inline)
                .doesNotContain("s3cret-elsewhere");
    }

    @Test
    void aJobIsCancelledByItsName() throws Exception {
        Path config = config("ended", 1, schema(3, TestJob.GROUPS, 1));
        String job = submission().run(JobSpec.read(config), config, Optional.empty());
        String directory = shared.resolve("cluster").toString();

        Cli wrong = Cli.run("cancel", "endet", "--dir", directory);
        assertThat(wrong.exit()).isEqualTo(2);
        assertThat(wrong.err()).contains("no job 'endet' runs", "[ended]");
        Cli cli = Cli.run("cancel", "ended", "--dir", directory);

        assertThat(cli.exit()).as(cli.err()).isZero();
        assertThat(cli.out()).isEqualTo("job ended (%s) is CANCELED%n".formatted(job));
        assertThat(cluster.rest().state(job)).isEqualTo("CANCELED");
    }

    @Test
    void onlyTheAdaptiveSchedulerChangesAJobThatRuns() throws Exception {
        Path config = config("fixed", 1, schema(3, TestJob.GROUPS, 1));
        Cli early = submit(config, "--parallelism", "1");
        assertThat(early.exit()).isEqualTo(2);
        assertThat(early.err()).contains("--parallelism: no job 'fixed' runs at").hasLineCount(1);
        String job = submission().run(JobSpec.read(config), config, Optional.empty());

        Cli cli = submit(config, "--parallelism", "1");

        assertThat(cli.exit()).isEqualTo(1);
        assertThat(cli.err())
                .startsWith(
                        "tributary: Flink does not change the parallelism of job fixed (%s): "
                                .formatted(job))
                .contains("that needs 'jobmanager.scheduler: adaptive'")
                .hasLineCount(1);
        assertThat(cluster.rest().state(job)).isEqualTo("RUNNING");
    }

    @Test
    void aClusterThatRunsKeepsItsSettings() {
        assertThatThrownBy(() -> cluster.start(1, 2, Map.of("jobmanager.scheduler", "adaptive")))
                .hasMessageContaining("runs with other settings of Flink, {}; stop it first");
    }

    @Test
    void aJobManagerThatCannotBeginSaysWhy() throws Exception {
        int port = cluster.state().orElseThrow().restPort();
        cluster.killJobManager();
        try (ServerSocket taken = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
            new Thread(() -> hangUp(taken), "another server").start();
            assertThatThrownBy(() -> cluster.start(1, 2))
                    .hasMessageContaining("the job manager has ended (java.net.BindException: ")
                    .hasMessageContaining("port range " + port);
        }
    }

    /** Lets nobody wait who takes it for the job manager. */
    private static void hangUp(ServerSocket server) {
        try {
            while (true) {
                server.accept().close();
            }
        } catch (IOException e) {
            // The test is over.
        }
    }

    @Test
    void aTaskManagerThatDoesNotRegisterIsStartedAgain() throws Exception {
        ClusterState.TaskManager stuck = cluster.state().orElseThrow().taskManagers().get(1);
        new ProcessBuilder("kill", "-STOP", Long.toString(stuck.owner().pid())).start().waitFor();
        Awaitility.await()
                .atMost(PATIENCE)
                .until(() -> !cluster.rest().taskManagers().contains(stuck.id()));

        new LocalCluster(shared.resolve("cluster"), 5).start(1, 2);

        assertThat(cluster.rest().taskManagers()).hasSize(1).doesNotContain(stuck.id());
        assertThat(stuck.owner().alive()).isFalse();
    }

    /** Over Kafka; and trainers of a model join by its name, so nobody else may have it. */
    @Test
    void aJobMakesSeveralModelsWhoseNamesNoOtherJobMayHave() throws Exception {
        Path topology =
                Files.writeString(
                        temp.resolve("two-models.json"),
                        """
                        {"roles":[
                          {"name":"trainer","isDataConsumer":true,
                           "groupAssociation":[{"low":"us"},{"low":"eu"}]},
                          {"name":"top","groupAssociation":[{"low":"us"},{"low":"eu"}]}],
                         "channels":[{"name":"low","pair":["trainer","top"],
                           "groupBy":{"value":["us","eu"]}}]}
                        """);
        Path several = config("several", 2, topology);
        JobSpec spec = JobSpec.read(several);
        String job = submission().run(spec, several, Optional.empty());
        assertThat(JobModel.names(cluster.rest().parameters(job)))
                .containsExactlyInAnyOrder("several.us", "several.eu");
        Path taken = config("several.eu", 2, schema(4, TestJob.GROUPS, 2));
        assertThatThrownBy(() -> submission().run(JobSpec.read(taken), taken, Optional.empty()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("a job named 'several.eu' runs already (" + job)
                .hasMessageContaining(", a model of 'several')");
        List<CompletableFuture<Void>> trainers =
                List.of("us", "eu").stream()
                        .flatMap(
                                group ->
                                        IDS.stream()
                                                .map(
                                                        id ->
                                                                train(
                                                                        spec,
                                                                        "several." + group,
                                                                        id,
                                                                        group)))
                        .toList();
        for (CompletableFuture<Void> trainer : trainers) {
            trainer.get();
        }
        awaitFinished(job);
        for (JobModel its : spec.jobModels()) {
            TestJob updates = new TestJob(its.job(), temp, 1);
            Path model = PosixModelStore.at(Path.of(its.models())).model(2);
            assertThat(updates.error(model, 2, IDS)).isLessThan(1e-6);
        }
    }

    @Test
    void aSecondJobOfTheNameIsRejectedAndASavepointOnlyFitsItsTopology() throws Exception {
        Path config = config("named", 2, schema(4, TestJob.GROUPS, 2));
        JobSpec spec = JobSpec.read(config);
        String job = submission().run(spec, config, Optional.empty());
        assertThatThrownBy(() -> submission().run(spec, config, Optional.empty()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("a job named 'named' runs already (" + job);
        Awaitility.await()
                .atMost(PATIENCE)
                .until(
                        () ->
                                cluster.rest()
                                                .get("/jobs/" + job + "/checkpoints")
                                                .at("/counts/completed")
                                                .asInt()
                                        >= 3);
        Cli stopped =
                Cli.run(
                        "cancel",
                        "named",
                        "--savepoint",
                        temp.resolve("savepoints").toString(),
                        "--dir",
                        shared.resolve("cluster").toString());
        assertThat(stopped.out())
                .startsWith("job named (%s) has ended with savepoint file:".formatted(job));
        String savepoint = stopped.out().substring(stopped.out().indexOf("file:")).strip();

        Path threeTiers = config("named", 2, schema(3, TestJob.GROUPS, 1));
        assertThatThrownBy(
                        () ->
                                submission()
                                        .run(
                                                JobSpec.read(threeTiers),
                                                threeTiers,
                                                Optional.of(savepoint)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("is of another topology")
                .hasMessageContaining(
                        "levels [leaf-aggregator, middle-aggregator, top-aggregator]");

        Path otherGroups = config("named", 2, schema(4, List.of("us", "eu"), 1));
        String rejected =
                submission().run(JobSpec.read(otherGroups), otherGroups, Optional.of(savepoint));
        Awaitility.await()
                .atMost(PATIENCE)
                .until(() -> cluster.rest().state(rejected).equals("FAILED"));
        assertThat(cluster.rest().failure(rejected).orElseThrow())
                .contains("the savepoint is of another topology: its groups are")
                .contains("us/west");

        Path otherFanIn = config("named", 2, schema(4, TestJob.GROUPS, 1));
        JobSpec changed = JobSpec.read(otherFanIn);
        String restored = submission().run(changed, otherFanIn, Optional.of(savepoint));
        List<CompletableFuture<Void>> trainers =
                IDS.stream().map(id -> train(changed, id)).toList();
        for (CompletableFuture<Void> trainer : trainers) {
            trainer.get();
        }
        awaitFinished(restored);
        assertRight("named", 2);
    }

    @Test
    void theSameJarRunsWithFlinkRun() throws Exception {
        Path config = config("flink-run", 1, schema(3, TestJob.GROUPS, 1));
        JobSpec spec = JobSpec.read(config);
        Path log = temp.resolve("flink.log");
        ProcessBuilder flink =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "--add-opens=java.base/java.util=ALL-UNNAMED",
                                "--add-opens=java.base/java.lang=ALL-UNNAMED",
                                "-cp",
                                System.getProperty("java.class.path"),
                                "org.apache.flink.client.cli.CliFrontend",
                                "run",
                                "--detached",
                                "--jobmanager",
                                URI.create(cluster.rest().url()).getAuthority(),
                                Distribution.jobJar().toString(),
                                "--config",
                                config.toString())
                        .redirectErrorStream(true)
                        .redirectOutput(log.toFile());
        flink.environment().put("FLINK_CONF_DIR", shared.resolve("cluster/conf").toString());
        assertThat(flink.start().waitFor()).as(Files.readString(log)).isZero();
        String job =
                cluster.rest().jobs().stream()
                        .filter(j -> j.name().equals("flink-run"))
                        .map(FlinkRest.Job::id)
                        .findFirst()
                        .orElseThrow(() -> new AssertionError(log));

        for (CompletableFuture<Void> trainer : IDS.stream().map(id -> train(spec, id)).toList()) {
            trainer.get();
        }
        awaitFinished(job);
        assertRight("flink-run", 1);
    }
}
