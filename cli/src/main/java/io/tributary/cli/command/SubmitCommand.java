// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.job.cluster.ClusterUnavailableException;
import io.tributary.job.cluster.Distribution;
import io.tributary.job.cluster.FlinkRest;
import io.tributary.job.cluster.FlinkRestException;
import io.tributary.job.cluster.RetainedCheckpoints;
import io.tributary.job.cluster.Submission;
import io.tributary.job.config.JobModel;
import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.JobTransport;
import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.testbed.cluster.JobHere;
import io.tributary.testbed.cluster.ObjectStores;
import io.tributary.testbed.demo.Console;
import io.tributary.testbed.demo.RoundBoard;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code tributary submit}. */
@Command(name = "submit", description = "Runs a job on a Flink cluster, and follows its rounds.")
public final class SubmitCommand implements Callable<Integer> {

    private static final long LOOK_MILLIS = 500;

    /** How long a job manager may be away while the job is followed. */
    private static final Duration AWAY_AT_MOST = Duration.ofMinutes(2);

    /** How long one that answers may need until it knows its jobs. */
    private static final Duration ELECTED_WITHIN = Duration.ofSeconds(30);

    private static final Duration UP_WITHIN = Duration.ofSeconds(60);
    private static final String DONE = "FINISHED";
    private static final String FAILED = "FAILED";
    private static final String FAILING = "FAILING";

    @Option(
            names = "--config",
            paramLabel = "FILE",
            required = true,
            description = "The job's job.yaml; docs/configuration.md has its keys.")
    private Path config;

    @Mixin private ClusterAddress cluster;

    @Option(
            names = "--from-savepoint",
            paramLabel = "PATH",
            description = "Goes on from a savepoint or a retained checkpoint.")
    private Optional<String> savepoint;

    @Option(
            names = "--from-latest",
            description =
                    "Goes on from the newest retained checkpoint of the job, where there is one.")
    private boolean latest;

    @Option(
            names = "--detached",
            description = "Returns when all tasks of the job run, or one has failed.")
    private boolean detached;

    @Option(
            names = "--here",
            description =
                    "Runs it in this process, without a cluster, until its rounds are done or Ctrl-C.")
    private boolean here;

    @Option(
            names = "--parallelism",
            paramLabel = "N",
            description =
                    "Changes the parallelism of a job that runs, and starts nothing. Needs Flink's adaptive scheduler.")
    private Optional<Integer> parallelism;

    @Override
    public Integer call() throws Exception {
        if (latest && savepoint.isPresent()) {
            throw new UsageException("--from-latest and --from-savepoint exclude each other");
        }
        if (here && (latest || savepoint.isPresent() || detached || cluster.given())) {
            throw new UsageException(
                    "--here excludes --cluster, --detached and what a job goes on from: it is a job of this process, and ends with it");
        }
        if (parallelism.isPresent() && (here || latest || savepoint.isPresent() || detached)) {
            throw new UsageException(
                    "--parallelism is for a job that runs already, and excludes what starts one");
        }
        parallelism.ifPresent(SubmitCommand::requireParallelism);
        ObjectStores.enable(cluster.directory());
        JobSpec spec = JobSpec.read(config);
        if (parallelism.isPresent()) {
            return rescale(spec.name(), parallelism.get());
        }
        if (here) {
            return runHere(spec);
        }
        FlinkRest rest = cluster.rest();
        JobTransport seen =
                cluster.local().map(there -> there.seen(spec.followed())).orElse(spec.followed());
        Optional<String> from = latest ? latest(spec, rest) : savepoint;
        from.ifPresent(path -> System.out.println("going on from " + path));
        if (latest && from.isEmpty()) {
            System.out.println("there is no checkpoint to go on from; the job begins anew");
        }
        Console console = console(spec);
        if (from.isEmpty()) {
            sayEarlier(spec, console);
        }
        try (AutoCloseable ignored =
                detached
                        ? () -> {}
                        : spec.follow(seen, new RoundBoard(console::status, console::model))) {
            String job = new Submission(rest, Distribution.jobJar()).run(spec, config, from);
            console.say("job %s (%s) is submitted".formatted(spec.name(), job));
            sayModels(spec, console);
            warn(spec, console);
            console.say("Flink web UI: %s/#/job/running/%s/overview".formatted(rest.url(), job));
            return detached ? deployed(rest, spec.name(), job, console) : await(rest, job, console);
        }
    }

    private static void requireParallelism(int wanted) {
        if (wanted < 1 || wanted > SubtaskAffinity.KEY_GROUPS) {
            throw new UsageException(
                    "--parallelism %d: expected 1 to %d"
                            .formatted(wanted, SubtaskAffinity.KEY_GROUPS));
        }
    }

    private int rescale(String name, int wanted) {
        FlinkRest rest = cluster.rest();
        FlinkRest.Job job =
                rest.jobs().stream()
                        .filter(j -> j.live() && j.name().equals(name))
                        .findFirst()
                        .orElseThrow(
                                () ->
                                        new UsageException(
                                                "--parallelism: no job '%s' runs at %s; 'parallelism' in job.yaml is for one that is submitted"
                                                        .formatted(name, rest.url())));
        try {
            rest.rescale(job.id(), wanted);
        } catch (FlinkRestException e) {
            throw new IllegalStateException(
                    "Flink does not change the parallelism of job %s (%s): %s; that needs 'jobmanager.scheduler: adaptive' before the job is submitted"
                            .formatted(name, job.id(), e.getMessage()));
        }
        System.out.printf(
                "job %s (%s) gets %d subtasks, or as many as there are slots for%n",
                name, job.id(), wanted);
        return 0;
    }

    private static Console console(JobSpec spec) {
        return new Console(System.out, false, spec.jobModels().size() > 1);
    }

    /** Models of two runs in one directory look like those of one. */
    private static void sayEarlier(JobSpec spec, Console console) throws IOException {
        for (JobModel model : spec.jobModels()) {
            OptionalInt last = model.lastThere();
            if (last.isPresent()) {
                console.say(
                        "note: %s has models of an earlier run, up to round %d; this run writes over those of its own rounds"
                                .formatted(model.models(), last.getAsInt()));
            }
        }
    }

    private static void warn(JobSpec spec, Console console) {
        spec.notes().forEach(note -> console.say("note: " + note));
        spec.warnings().forEach(warning -> console.say("warning: " + warning));
    }

    /** Trainers have to know which one is theirs. */
    private static void sayModels(JobSpec spec, Console console) {
        List<JobModel> models = spec.jobModels();
        if (models.size() > 1) {
            models.forEach(
                    model ->
                            console.say(
                                    "model %s: trainers of %s connect to job %s"
                                            .formatted(
                                                    model.tag(),
                                                    String.join(
                                                            ", ", model.topology().trainerGroups()),
                                                    model.job())));
        }
    }

    private int runHere(JobSpec spec) throws Exception {
        Console console = console(spec);
        try (JobHere job = JobHere.start(spec, console::say);
                AutoCloseable ignored =
                        spec.follow(
                                spec.followed(), new RoundBoard(console::status, console::model))) {
            sayModels(spec, console);
            sayEarlier(spec, console);
            warn(spec, console);
            job.run();
        }
        console.say("the job is FINISHED");
        return 0;
    }

    private static Optional<String> latest(JobSpec spec, FlinkRest rest) throws IOException {
        Optional<String> last = RetainedCheckpoints.last(spec);
        boolean finished =
                rest.jobs().stream()
                        .anyMatch(j -> last.equals(Optional.of(j.id())) && j.state().equals(DONE));
        if (finished) {
            throw new UsageException(
                    "--from-latest: the last submission of job '%s' (%s) has finished, so there is nothing to go on from; --from-savepoint PATH goes on from another"
                            .formatted(spec.name(), last.orElseThrow()));
        }
        return RetainedCheckpoints.newest(spec);
    }

    /** Whether the job has come up, which it does or fails to do soon. */
    private static int deployed(FlinkRest rest, String name, String job, Console console)
            throws InterruptedException {
        long end = System.nanoTime() + UP_WITHIN.toNanos();
        boolean hasFailed = false;
        while (System.nanoTime() < end) {
            // In this order: a job that fails in between has a cause the next time.
            String state = rest.state(job);
            Optional<String> failure = rest.failure(job);
            if (state.equals(FAILED)) {
                throw failed(failure);
            }
            // A task's failure is known before the job's end that may follow from it.
            boolean again = hasFailed && !state.equals(FAILING);
            hasFailed = failure.isPresent();
            if (hasFailed && again) {
                console.say("warning: it restarts: " + failure.get());
                console.say(stays(name));
                return 1;
            }
            if (!hasFailed && rest.running(job)) {
                return 0;
            }
            Thread.sleep(LOOK_MILLIS);
        }
        console.say(
                "warning: not all of its tasks run after %d s; does the cluster have enough free slots?"
                        .formatted(UP_WITHIN.toSeconds()));
        console.say(stays(name));
        return 1;
    }

    private static String stays(String name) {
        return "it stays on the cluster and tries again; './tributary cancel %s' ends it"
                .formatted(name);
    }

    private static IllegalStateException failed(Optional<String> cause) {
        return new IllegalStateException(
                "the job has failed: %s; when that is mended, 'submit --from-latest' goes on"
                        .formatted(cause.orElse("Flink does not say why")));
    }

    private static int await(FlinkRest rest, String job, Console console)
            throws InterruptedException {
        Optional<String> said = Optional.empty();
        Absence absence = new Absence();
        while (true) {
            try {
                String state = rest.state(job);
                if (absence.ends()) {
                    console.say("the job manager answers again, and has the job");
                }
                if (state.equals(DONE)) {
                    console.say("the job is FINISHED");
                    return 0;
                }
                Optional<String> failure = rest.failure(job);
                if (state.equals(FAILED)) {
                    throw failed(failure);
                }
                if (state.equals("CANCELED")) {
                    throw new IllegalStateException("the job was cancelled");
                }
                if (failure.isPresent() && !failure.equals(said)) {
                    console.say("the job restarts: " + failure.get());
                    said = failure;
                }
            } catch (ClusterUnavailableException e) {
                if (absence.silent(System.nanoTime())) {
                    console.say("warning: %s; waiting".formatted(e.getMessage()));
                }
                if (absence.tooLong(System.nanoTime())) {
                    throw e;
                }
            } catch (FlinkRestException e) {
                if (absence.answers(System.nanoTime())) {
                    console.say("warning: %s; waiting".formatted(e.getMessage()));
                }
                if (absence.tooLong(System.nanoTime())) {
                    throw forgotten(e);
                }
            }
            Thread.sleep(LOOK_MILLIS);
        }
    }

    /** The time in which there is no job manager that knows the job. */
    private static final class Absence {

        private Optional<Long> since = Optional.empty();
        private Optional<Long> answersSince = Optional.empty();

        /** Nobody answers; returns whether that is new. */
        private boolean silent(long now) {
            answersSince = Optional.empty();
            return begins(now);
        }

        /** Somebody answers, who does not know the job; returns whether an absence begins. */
        private boolean answers(long now) {
            answersSince = answersSince.or(() -> Optional.of(now));
            return begins(now);
        }

        private boolean begins(long now) {
            boolean begins = since.isEmpty();
            since = since.or(() -> Optional.of(now));
            return begins;
        }

        private boolean tooLong(long now) {
            return answersSince
                    .map(then -> now - then > ELECTED_WITHIN.toNanos())
                    .orElseGet(() -> now - since.orElse(now) > AWAY_AT_MOST.toNanos());
        }

        /** The job is there; returns whether it was not. */
        private boolean ends() {
            boolean ends = since.isPresent();
            since = Optional.empty();
            answersSince = Optional.empty();
            return ends;
        }
    }

    private static IllegalStateException forgotten(RuntimeException e) {
        return new IllegalStateException(
                "the job manager does not know the job any more (%s); without high availability it forgets jobs when it ends, and 'submit --from-latest' goes on"
                        .formatted(e.getMessage()));
    }
}
