// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.InboundEvent;
import io.tributary.operators.coordinator.RoundCoordinator;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.topology.Topology;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.core.fs.local.LocalFileSystem;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.SnapshotResult;
import org.apache.flink.runtime.state.filesystem.FsCheckpointStreamFactory;
import org.apache.flink.streaming.api.operators.OperatorSnapshotFutures;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;

/**
 * The coordinator alone, in Flink's harness for operators, with as many trainers as are asked for:
 * all join, the update of each counts in a round, with two checkpoints in the middle, and the round
 * closes.
 */
final class CoordinatorBench {

    private static final String JOB = "bench";
    private static final int CHANGES = 1000;
    private static final int LEAVES = 100;
    private static final int FEW = 10_000;
    private static final int CHECKPOINTS = 12;

    /** Fewer have no half to change {@value #CHANGES} in so often. */
    static final int FEWEST = 4 * CHECKPOINTS * CHANGES;

    /**
     * What was measured.
     *
     * @param trainers how many joined, and counted
     * @param backend where keyed state was
     * @param eventsPerSecond joins and updates
     * @param firstAccessMillis the first update after a barrier, while the snapshot is not yet
     *     written
     * @param syncMillis what the barrier itself took, in which nothing else happens
     * @param checkpointBytes what a checkpoint wrote, with {@value #CHANGES} changes since the
     *     last; the median of {@value #CHECKPOINTS}: one of them may write a merge of files anew
     * @param bytesPerTrainer the whole state by trainers
     * @param closeMaxMillis the longest turn while the round closed
     * @param closeMillis all turns of it
     * @param joinsMillis {@value #FEW} joins in a job of their own, with {@value #LEAVES} leaves
     */
    record Result(
            int trainers,
            String backend,
            long eventsPerSecond,
            double firstAccessMillis,
            double syncMillis,
            long checkpointBytes,
            double bytesPerTrainer,
            double closeMaxMillis,
            double closeMillis,
            double joinsMillis) {

        List<Figure> figures() {
            return List.of(
                    Figure.more("events", "/s", List.of((double) eventsPerSecond)),
                    Figure.less("first access after a barrier", "ms", List.of(firstAccessMillis)),
                    Figure.less("barrier", "ms", List.of(syncMillis)),
                    Figure.less(
                            "bytes of a checkpoint with 1000 changes",
                            "B",
                            List.of((double) checkpointBytes)),
                    Figure.less("bytes of state a trainer", "B", List.of(bytesPerTrainer)),
                    Figure.less("longest turn of the close", "ms", List.of(closeMaxMillis)),
                    Figure.less("close", "ms", List.of(closeMillis)),
                    Figure.less("10000 joins with 100 leaves", "ms", List.of(joinsMillis)));
        }
    }

    private final int trainers;
    private final Backend backend;

    CoordinatorBench(int trainers, Backend backend) {
        this.trainers = trainers;
        this.backend = backend;
    }

    Result run() throws Exception {
        // What is measured should have been compiled, as it is in a job that runs.
        measure(Math.min(trainers, 100_000), FEW);
        return measure(trainers, FEW);
    }

    private Result measure(int all, int few) throws Exception {
        double joins;
        try (Job job = new Job(few + 1, backend)) {
            joins = job.joins(0, few);
        }
        try (Job job = new Job(all, backend)) {
            double millis = job.joins(0, all);
            int next = all / 2;
            millis += job.updates(0, next);
            List<Job.Checkpoint> checkpoints = new ArrayList<>();
            for (int i = 0; i <= CHECKPOINTS; i++) {
                checkpoints.add(job.checkpoint(next));
                job.updates(next + 1, next + CHANGES);
                next += CHANGES;
            }
            int rest = all - 1 - next;
            millis += job.updates(next, next + rest);
            Job.Checkpoint whole = job.checkpoint(-1);
            Job.Close close = job.close(all - 1);
            long events = all + all / 2 + rest;
            return new Result(
                    all,
                    backend.toString(),
                    Math.round(events / millis * 1000),
                    max(checkpoints, Job.Checkpoint::accessMillis),
                    max(checkpoints, Job.Checkpoint::syncMillis),
                    Math.round(
                            Samples.median(
                                    checkpoints.stream()
                                            .skip(1)
                                            .map(c -> (double) c.written)
                                            .toList())),
                    (double) whole.size / all,
                    close.maxMillis,
                    close.millis,
                    joins);
        }
    }

    private static double max(List<Job.Checkpoint> of, ToDoubleFunction<Job.Checkpoint> what) {
        return of.stream().mapToDouble(what).max().orElseThrow();
    }

    /** A coordinator, and what it is told. */
    private static final class Job implements AutoCloseable {

        private final WorkDirectory work;
        private final KeyedOneInputStreamOperatorTestHarness<String, InboundEvent, RoundStatus>
                harness;
        private final NewestPlan output = new NewestPlan();
        private long checkpoints;

        Job(int all, Backend backend) throws Exception {
            work = WorkDirectory.create("bench");
            ModelSpec model = new ModelSpec(model().toString(), 1024, UpdateKind.WEIGHTS);
            Topology topology = TreeSchemas.of(4, List.of("g/a"), LEAVES);
            harness =
                    new KeyedOneInputStreamOperatorTestHarness<>(
                            new RoundCoordinator(
                                    JOB,
                                    Run.of("secret"),
                                    topology,
                                    rules(all),
                                    model,
                                    PosixModelStore.at(work.path().resolve("models")),
                                    2,
                                    PayloadStore.Place.NONE,
                                    Surroundings.System.HERE),
                            event -> JOB,
                            Types.STRING);
            harness.setStateBackend(backend.open());
            harness.setOutputCreator(serializer -> output);
            harness.open();
        }

        private static RoundRules rules(int all) {
            return new RoundRules(
                    1,
                    new RoundRules.Quorum(all, all),
                    new RoundRules.Patience(
                            Duration.ZERO, Duration.ofMinutes(10), Duration.ofHours(1)),
                    new RoundRules.Folding(
                            RoundRules.Timing.EAGER, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                    Map.of(),
                    new RoundRules.Limits(all, Long.MAX_VALUE));
        }

        private Path model() throws IOException {
            SafetensorsHeader header =
                    SafetensorsHeader.create(
                            List.of(new TensorInfo("w", DType.F32, List.of(8L), 0, 32)), Map.of());
            byte[] file = Arrays.copyOf(header.bytes(), (int) header.fileLength());
            return Files.write(work.path().resolve("model.safetensors"), file);
        }

        /** Joins of trainers by number, and how long they took, ms. */
        double joins(int from, int to) throws Exception {
            return timed(
                    IntStream.range(from, to)
                            .mapToObj(
                                    i ->
                                            new TrainerEvent.Control(
                                                    new ControlMessage(
                                                            ControlMessage.Type.JOIN,
                                                            JOB,
                                                            trainer(i),
                                                            new UUID(i, i).toString(),
                                                            "g/a")))
                            .toArray(TrainerEvent[]::new));
        }

        private static String trainer(int number) {
            return "trainer-" + number;
        }

        private TrainerEvent update(int number) {
            RoundPlan plan = output.plan;
            return new TrainerEvent.UpdateStaged(
                    new Claim(
                            JOB,
                            trainer(number),
                            plan.round(),
                            plan.epoch(),
                            1,
                            100,
                            UpdateKind.WEIGHTS,
                            number,
                            true,
                            new PayloadRef(
                                    "/dev/shm/tributary/bench/updates/" + new UUID(0, number),
                                    4096,
                                    32,
                                    1),
                            Map.of()));
        }

        double updates(int from, int to) throws Exception {
            return timed(
                    IntStream.range(from, to).mapToObj(this::update).toArray(TrainerEvent[]::new));
        }

        private double timed(TrainerEvent[] events) throws Exception {
            long start = System.nanoTime();
            for (TrainerEvent event : events) {
                send(event);
            }
            return millisSince(start);
        }

        private void send(TrainerEvent event) throws Exception {
            harness.processElement(new InboundEvent("mqtt", event), 0);
        }

        private static double millisSince(long start) {
            return (System.nanoTime() - start) / 1e6;
        }

        /**
         * A checkpoint.
         *
         * @param syncMillis what the barrier took
         * @param accessMillis what the update after it took
         * @param written bytes that were written
         * @param size bytes of the state
         */
        private record Checkpoint(
                double syncMillis, double accessMillis, long written, long size) {}

        /**
         * @param number whose update comes while the snapshot is not yet written; negative for none
         */
        Checkpoint checkpoint(int number) throws Exception {
            long id = ++checkpoints;
            Path directory = Files.createDirectories(work.path().resolve("checkpoint-" + id));
            org.apache.flink.core.fs.Path flinks =
                    new org.apache.flink.core.fs.Path(directory.toUri());
            long start = System.nanoTime();
            OperatorSnapshotFutures futures =
                    harness.getOperator()
                            .snapshotState(
                                    id,
                                    0,
                                    CheckpointOptions.forCheckpointWithDefaultLocation(),
                                    new FsCheckpointStreamFactory(
                                            LocalFileSystem.getSharedInstance(),
                                            flinks,
                                            flinks,
                                            0,
                                            1 << 16));
            double sync = millisSince(start);
            double access = 0;
            if (number >= 0) {
                TrainerEvent update = update(number);
                long first = System.nanoTime();
                send(update);
                access = millisSince(first);
            }
            futures.getKeyedStateManagedFuture().run();
            SnapshotResult<KeyedStateHandle> keyed = futures.getKeyedStateManagedFuture().get();
            futures.getOperatorStateManagedFuture().run();
            KeyedStateHandle handle = keyed.getJobManagerOwnedSnapshot();
            harness.notifyOfCompletedCheckpoint(id);
            return new Checkpoint(
                    sync, access, handle.getCheckpointedSize(), handle.getStateSize());
        }

        /**
         * The close of a round.
         *
         * @param maxMillis its longest turn
         * @param millis all of them
         */
        private record Close(double maxMillis, double millis) {}

        Close close(int last) throws Exception {
            TrainerEvent update = update(last);
            long begun = System.nanoTime();
            send(update);
            double max = millisSince(begun);
            while (output.plan.state() == RoundPlan.State.OPEN) {
                long start = System.nanoTime();
                harness.setProcessingTime(harness.getProcessingTime() + 1);
                max = Math.max(max, millisSince(start));
            }
            return new Close(max, millisSince(begun));
        }

        @Override
        public void close() throws Exception {
            harness.close();
            work.close();
        }
    }
}
