// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.FederationJob;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.Publish;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.region.TensorFile;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.UpdateTensors;
import io.tributary.testbed.digits.DigitNetwork;
import io.tributary.testbed.digits.Digits;
import io.tributary.testbed.digits.DirichletShares;
import io.tributary.testbed.digits.DrawnDigits;
import io.tributary.testbed.digits.IdxFiles;
import io.tributary.testbed.process.PythonProcess;
import io.tributary.testbed.transport.ManagedTransport;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Runs a federation in this process. The trainers and the job share nothing but their transport.
 */
public final class Demo {

    /** The demo's job. */
    public static final String JOB = "demo";

    /** How demo trainers train. */
    public static final DigitNetwork.Training TRAINING = new DigitNetwork.Training(2, 32, 0.1f, 0f);

    private static final long LAST_WORDS_MILLIS = 10_000;

    private static final Duration LINGER = Duration.ofMinutes(1);

    /** What Python trainers need beside MQTT. */
    private static final String EXTRAS = "kafka";

    private static final int DRAWN_TRAIN = 6000;
    private static final int DRAWN_TEST = 1500;
    private static final long REGION_QUOTA_BYTES = 1L << 30;

    private final DemoOptions options;
    private final Console console;

    public Demo(DemoOptions options, PrintStream out) {
        this.options = options;
        this.console = new Console(out, options.shown().quiet());
    }

    /** The digits to train and test with. */
    public static Digits.Split digits(Optional<Path> data, long seed) {
        return data.map(IdxFiles::read)
                .orElseGet(
                        () ->
                                new Digits.Split(
                                        DrawnDigits.draw(DRAWN_TRAIN, seed),
                                        DrawnDigits.draw(DRAWN_TEST, ~seed)));
    }

    /** Runs it to the end. */
    public DemoReport run() throws Exception {
        // Drawing takes as long as a part of Flink's start; reading first, since files may be
        // wrong.
        CompletableFuture<Digits.Split> digits =
                options.data().directory().isPresent()
                        ? CompletableFuture.completedFuture(
                                digits(options.data().directory(), options.data().seed()))
                        : CompletableFuture.supplyAsync(
                                () -> digits(Optional.empty(), options.data().seed()));
        try (WorkDirectory work = WorkDirectory.create("demo")) {
            return run(digits, work);
        }
    }

    private DemoReport run(CompletableFuture<Digits.Split> digits, WorkDirectory work)
            throws Exception {
        console.say("Starting Flink ...");
        Path models = options.shown().out().orElse(work.path().resolve("models"));
        Files.createDirectories(models);
        Path initial = models.resolve("model-0.safetensors");
        writeInitial(initial);
        RoundBoard board = new RoundBoard(console::status, console::model);
        try (ManagedTransport transport =
                        options.job()
                                .transport()
                                .managed()
                                .start(work, options.job().regions(), REGION_QUOTA_BYTES);
                LocalFlink flink = LocalFlink.start(options.shown().uiPort(), work.path());
                AutoCloseable ignored = transport.forJob().follow(JOB, board)) {
            new FederationJob(
                            graph(initial, models), List.of(transport.forJob()), Publish.COMMITTED)
                    .build(flink.environment());
            flink.submit(JOB);
            console.say("Flink web UI: " + flink.url());
            console.say(transport.description());
            DemoReport report = rounds(transport, digits.get(), board, models, flink, work);
            console.table(report.rounds());
            if (options.shown().report().isPresent()) {
                Files.writeString(options.shown().report().get(), Json.pretty(report) + "\n");
            }
            if (options.shown().hold()) {
                console.say("The web UI stays up until Ctrl-C: " + flink.url());
                Thread.currentThread().join();
            }
            return report;
        }
    }

    private AggregationGraph graph(Path initial, Path models) {
        int trainers = options.trainers().minimum();
        return new AggregationGraph(
                JOB,
                Run.draw(),
                options.tree().topology(),
                new RoundRules(
                        options.job().rounds(),
                        new RoundRules.Quorum(trainers, trainers),
                        new RoundRules.Patience(
                                Duration.ofMinutes(10), Duration.ofSeconds(30), LINGER),
                        new RoundRules.Folding(
                                options.job().timing(),
                                UpdateKind.WEIGHTS,
                                options.job().method().algorithm(),
                                true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT,
                        options.job().method().algorithm().config(),
                        "",
                        RoundRules.Evaluation.of(options.job().method().algorithm()),
                        RoundRules.Goal.NONE),
                new ModelSpec(
                        initial.toAbsolutePath().toString(),
                        ModelSpec.DEFAULT_SHARD_ELEMENTS,
                        UpdateKind.WEIGHTS,
                        options.job().method().algorithm().optimizer().sets(),
                        UpdateTensors.ALL),
                PosixModelStore.at(models),
                Surroundings.System.HERE);
    }

    private void writeInitial(Path file) throws IOException {
        DigitNetwork network = DigitNetwork.initial(options.data().seed());
        ModelFiles.write(file, DigitNetwork.header(), network::values);
    }

    private DemoReport rounds(
            ManagedTransport transport,
            Digits.Split digits,
            RoundBoard board,
            Path models,
            LocalFlink flink,
            WorkDirectory work)
            throws Exception {
        long start = System.nanoTime();
        List<DemoReport.Round> rounds = new ArrayList<>();
        ExecutorService threads = Executors.newCachedThreadPool();
        try {
            List<Future<?>> trainers = startTrainers(transport, digits.train(), threads, work);
            for (int round = 1; round <= options.job().rounds(); round++) {
                rounds.add(finished(round, board, trainers, flink, digits.test(), models));
            }
            double wallSeconds = (System.nanoTime() - start) / 1e9;
            for (Future<?> trainer : trainers) {
                trainer.get();
            }
            // Trainers from elsewhere still wait for their last receipt.
            board.awaitAllLeft(LAST_WORDS_MILLIS);
            return new DemoReport(
                    config(),
                    rounds,
                    new DemoReport.Final(rounds.get(rounds.size() - 1).testAccuracy()),
                    wallSeconds);
        } finally {
            threads.shutdownNow();
        }
    }

    private List<Future<?>> startTrainers(
            ManagedTransport transport, Digits train, ExecutorService threads, WorkDirectory work) {
        List<Future<?>> trainers = new ArrayList<>();
        if (options.trainers().all() == 0) {
            console.say(
                    "Waiting for %s of %s: ./tributary trainer --job %s --transport %s --group %s"
                            .formatted(
                                    options.trainers().minimum() == 1
                                            ? "a trainer"
                                            : options.trainers().minimum() + " trainers",
                                    String.join(", ", options.tree().topology().trainerGroups()),
                                    JOB,
                                    transport.forJob().uri(),
                                    options.tree().topology().trainerGroups().get(0)));
            return trainers;
        }
        List<List<Integer>> shares =
                DirichletShares.of(
                        train.labels(),
                        options.trainers().all(),
                        options.data().alpha(),
                        options.data().seed());
        List<String> groups = options.tree().topology().trainerGroups();
        int javaTrainers = options.trainers().started();
        Optional<PythonProcess> python =
                options.trainers().python() == 0
                        ? Optional.empty()
                        : Optional.of(PythonProcess.prepare(EXTRAS, console::say));
        for (int i = 0; i < shares.size(); i++) {
            DemoTrainer trainer =
                    new DemoTrainer(
                            "%s-%02d".formatted(i < javaTrainers ? "trainer" : "python", i + 1),
                            groups.get(i % groups.size()),
                            transport.forJob().uri(),
                            train.select(shares.get(i)),
                            options.data().seed() + i);
            trainers.add(
                    i < javaTrainers
                            ? threads.submit(() -> trainer.train(work))
                            : threads.submit(() -> trainer.train(python.orElseThrow(), work)));
        }
        return trainers;
    }

    private DemoReport.Round finished(
            int round,
            RoundBoard board,
            List<Future<?>> trainers,
            LocalFlink flink,
            Digits test,
            Path models)
            throws Exception {
        Optional<RoundBoard.Finished> finished = board.await(round, 200);
        while (finished.isEmpty()) {
            flink.check();
            for (Future<?> trainer : trainers) {
                if (trainer.isDone()) {
                    trainer.get();
                }
            }
            finished = board.await(round, 200);
        }
        Path file = PosixModelStore.at(models).version(finished.get().model().id());
        Map<String, Integer> groups = new TreeMap<>();
        finished.get().status().groups().forEach((group, g) -> groups.put(group, g.updates()));
        return new DemoReport.Round(
                round,
                finished.get().status().updates(),
                groups,
                finished.get().status().rejected(),
                finished.get().status().summaries(),
                accuracy(file, test),
                finished.get().model().lastUpdateToModelMs(),
                sha256(file));
    }

    private static double accuracy(Path file, Digits test) {
        try (TensorFile model = TensorFile.open(file)) {
            return DigitNetwork.with(name -> floats(model, name)).accuracy(test);
        }
    }

    private static FloatBuffer floats(TensorFile model, String name) {
        return model.header().tensors().stream()
                .filter(t -> t.name().equals(name))
                .map(t -> model.elements(t, 0, (int) t.elements()).asFloatBuffer())
                .findFirst()
                .orElseThrow();
    }

    private static String sha256(Path file) throws IOException, NoSuchAlgorithmException {
        return HexFormat.of()
                .formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file)));
    }

    private Map<String, Object> config() {
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("topology", options.tree().name());
        config.put("algorithm", options.job().method().name());
        config.put("parameters", options.job().method().parameters());
        config.put("transport", options.job().transport().scheme());
        config.put("trainers", options.trainers().all());
        config.put("groups", options.tree().topology().trainerGroups());
        config.put("rounds", options.job().rounds());
        config.put("data", options.data().directory().map(Path::toString).orElse("drawn"));
        config.put("alpha", options.data().alpha());
        config.put("seed", options.data().seed());
        config.put("timing", options.job().timing().name().toLowerCase(Locale.ROOT));
        return config;
    }
}
