// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.job.cluster.FlinkRest;
import io.tributary.operators.model.ModelStore;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code tributary cancel}. */
@Command(
        name = "cancel",
        description =
                "Ends a job that was submitted. Its checkpoints stay, unless the cluster is set up otherwise; 'submit --from-latest' goes on from there.")
public final class CancelCommand implements Callable<Integer> {

    private static final long LOOK_MILLIS = 200;
    private static final int PATIENCE_SECONDS = 120;

    @Mixin private ClusterAddress cluster;

    @Parameters(paramLabel = "JOB", description = "The job's name, or Flink's id of it.")
    private String job;

    @Option(
            names = "--savepoint",
            paramLabel = "DIR",
            description =
                    "Makes a savepoint first, in a directory or at a URI that the cluster reaches; 'submit --from-savepoint' goes on from it.")
    private Optional<String> savepoints;

    @Override
    public Integer call() throws InterruptedException {
        FlinkRest rest = cluster.rest();
        List<FlinkRest.Job> live = rest.jobs().stream().filter(FlinkRest.Job::live).toList();
        FlinkRest.Job found =
                live.stream()
                        .filter(j -> j.name().equals(job) || j.id().equals(job))
                        .findFirst()
                        .orElseThrow(
                                () ->
                                        new UsageException(
                                                "no job '%s' runs at %s; these do: %s"
                                                        .formatted(
                                                                job,
                                                                rest.url(),
                                                                live.stream()
                                                                        .map(FlinkRest.Job::name)
                                                                        .toList())));
        if (live.stream().filter(j -> j.name().equals(job)).count() > 1) {
            throw new UsageException(
                    "several jobs are named '%s', expected the id of one: %s"
                            .formatted(
                                    job,
                                    live.stream()
                                            .filter(j -> j.name().equals(job))
                                            .map(FlinkRest.Job::id)
                                            .toList()));
        }
        if (savepoints.isPresent()) {
            String directory = savepoints.get();
            String place =
                    ModelStore.isObject(directory)
                            ? directory
                            : Path.of(directory).toAbsolutePath().normalize().toString();
            String path = rest.stopWithSavepoint(found.id(), place);
            System.out.printf(
                    "job %s (%s) has ended with savepoint %s%n", found.name(), found.id(), path);
            return 0;
        }
        rest.cancel(found.id());
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (rest.jobs().stream().anyMatch(j -> j.id().equals(found.id()) && j.live())) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException(
                        "job %s (%s) has not ended within %d s; see %s"
                                .formatted(found.name(), found.id(), PATIENCE_SECONDS, rest.url()));
            }
            Thread.sleep(LOOK_MILLIS);
        }
        String state = rest.state(found.id());
        System.out.printf("job %s (%s) is %s%n", found.name(), found.id(), state);
        return state.equals("CANCELED") ? 0 : 1;
    }
}
