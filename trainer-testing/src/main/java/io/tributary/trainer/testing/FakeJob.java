// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer.testing;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.RecentReceipts;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.memory.region.RegionWriter;
import io.tributary.memory.region.TensorFile;
import io.tributary.memory.region.TrainerPresence;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.Expected;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Decision;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateDescription;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.trainer.TrainerTransport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * A job for unit tests of trainers. It lets trainers join, gives them the models that the test
 * names, and answers their updates as the test says. It needs no Flink, no broker and no agent: all
 * goes through files in a directory, as over shared memory.
 *
 * <pre>{@code
 * try (FakeJob job = FakeJob.start(directory);
 *         TrainerClient trainer = TrainerClient.builder()
 *                 .job(job.name()).id("t-1").transport(job.transport()).connect()) {
 *     job.openRound(model);
 *     // The code under test joins, trains and sends, in a thread of its own.
 *     ReceivedUpdate update = job.awaitUpdate(Duration.ofSeconds(10));
 *     job.commit(update);
 *     job.finish();
 * }
 * }</pre>
 *
 * <p>An update that is not one of the open round's model, or not finite, is rejected at once, as a
 * job would, and {@link #awaitUpdate} does not return it. Thread-safe.
 */
public final class FakeJob implements AutoCloseable {

    /** The name of each fake job. */
    public static final String NAME = "fake";

    private static final long POLL_MILLIS = 20;
    private static final long QUOTA_BYTES = 1L << 30;
    private static final int SHARD_ELEMENTS = 1 << 20;

    /** No agent listens there; trainers then look by themselves twice a second. */
    private static final int NO_AGENT = 1;

    private final Path root;
    private final JobDirectory files;
    private final RegionDirectory regions;
    private final UpdateKind kind;
    private final Run run = Run.draw();
    private final ScheduledExecutorService poller =
            Executors.newSingleThreadScheduledExecutor(FakeJob::daemon);

    /** What has come, in order; empty where it could not look, because of {@link #failure}. */
    private final BlockingQueue<Optional<ReceivedUpdate>> received = new LinkedBlockingQueue<>();

    private final Set<PayloadRef> seen = new HashSet<>();
    private Optional<RoundPlan> plan = Optional.empty();
    private Optional<ModelLayout> model = Optional.empty();
    private Expected expected = Expected.NOTHING;
    private Optional<RuntimeException> failure = Optional.empty();

    private FakeJob(Path root, UpdateKind kind) {
        this.root = root.toAbsolutePath();
        this.kind = kind;
        this.files = JobDirectory.of(this.root, NAME);
        this.regions = files.regions(QUOTA_BYTES);
        files.quotaBytes(QUOTA_BYTES);
    }

    private static final long END_SECONDS = 5;

    private static Thread daemon(Runnable task) {
        Thread thread = new Thread(task, "fake-job");
        thread.setDaemon(true);
        return thread;
    }

    /**
     * Starts a job that asks for weights.
     *
     * @param directory of this test alone
     */
    public static FakeJob start(Path directory) {
        return start(directory, UpdateKind.WEIGHTS);
    }

    /**
     * Starts a job.
     *
     * @param directory of this test alone
     * @param kind what it asks for
     */
    public static FakeJob start(Path directory, UpdateKind kind) {
        FakeJob job = new FakeJob(directory, kind);
        job.poller.scheduleWithFixedDelay(job::poll, 0, POLL_MILLIS, TimeUnit.MILLISECONDS);
        return job;
    }

    /** Its name, for the builder of a client. */
    public String name() {
        return NAME;
    }

    /** The way to it, for the builder of a client. */
    public TrainerTransport transport() {
        return TrainerTransport.shm(root, NO_AGENT);
    }

    /**
     * Opens the next round.
     *
     * @param file the model to start from, safetensors
     * @return the round
     * @throws RejectedException when the file is not safetensors
     */
    public RoundId openRound(Path file) {
        return openRound(file, Expected.NOTHING);
    }

    /**
     * The same for updates that have more, or less, than the model's tensors.
     *
     * @param file the model, with the tensor sets that are expected
     * @param itsExpected what updates have; metrics are not looked for
     */
    public synchronized RoundId openRound(Path file, Expected itsExpected) {
        expected = itsExpected;
        RoundId round = new RoundId(plan.map(RoundPlan::round).orElse(0) + 1, 0);
        RoundId version = new RoundId(round.round() - 1, 0);
        try (TensorFile opened = TensorFile.open(file)) {
            SafetensorsHeader header = opened.header();
            publish(version, file, header.fileLength(), opened.mapped().crc32c());
            model = Optional.of(new ModelLayout(header, SHARD_ELEMENTS, expected.tensors()));
        }
        tell(RoundPlan.State.OPEN, round, version);
        return round;
    }

    private void publish(RoundId version, Path file, long bytes, int crc32c) {
        ModelDescription description =
                new ModelDescription(
                        NAME,
                        run.id(),
                        version.round(),
                        version.epoch(),
                        bytes,
                        ChunkPart.MAX_CHUNK_BYTES,
                        crc32c,
                        0,
                        "");
        try (RegionWriter writer =
                regions.copy(JobDirectory.modelName(run.id(), version), file, bytes)
                        .orElseThrow(() -> new IOException("no room for the model " + file))) {
            writer.publish(crc32c, new String(Json.encode(description), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void tell(RoundPlan.State state, RoundId round, RoundId version) {
        plan =
                Optional.of(
                        new RoundPlan(
                                NAME,
                                state,
                                round.round(),
                                round.epoch(),
                                version.round(),
                                version.epoch(),
                                kind,
                                0,
                                0,
                                run.id(),
                                state == RoundPlan.State.ENDED ? run.end() : "",
                                Map.of(),
                                expected,
                                null,
                                Map.of()));
        JobDirectory.replace(files.round(), plan.get());
    }

    /** Says that all rounds are done: {@code awaitRound} of trainers returns empty. */
    public synchronized void finish() {
        RoundPlan last =
                plan.orElseThrow(() -> new IllegalStateException("no round was opened before"));
        tell(RoundPlan.State.FINISHED, last.id(), last.model());
    }

    /** Ids of the trainers that take part now. */
    public List<String> trainers() {
        return present().stream().map(TrainerPresence::trainer).sorted().toList();
    }

    /**
     * Waits for the next update, in the order in which they came.
     *
     * @throws IllegalStateException when none comes in time
     */
    public ReceivedUpdate awaitUpdate(Duration timeout) {
        try {
            Optional<ReceivedUpdate> next = received.poll(timeout.toNanos(), TimeUnit.NANOSECONDS);
            if (next == null) {
                throw new IllegalStateException("no update came within " + timeout);
            }
            if (next.isEmpty()) {
                // The next caller that waits must hear of it too.
                received.add(next);
                throw failure.orElseThrow();
            }
            return next.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for an update", e);
        }
    }

    /** Tells its trainer that an update counts. */
    public void commit(ReceivedUpdate update) {
        answer(update, Decision.of(Status.COMMITTED));
    }

    /**
     * Tells its trainer that an update does not count.
     *
     * @param text one line for people
     */
    public void reject(ReceivedUpdate update, RejectReason reason, String text) {
        answer(update, Decision.rejected(reason, text));
    }

    private void answer(ReceivedUpdate update, Decision decision) {
        answer(update.description(), update.crc32c(), decision);
        RegionDirectory.release(update.payload());
    }

    private void answer(UpdateDescription update, OptionalInt crc32c, Decision decision) {
        RecentReceipts.add(
                files.receipts(update.trainer()),
                Receipt.ofUpdate(
                        NAME,
                        run,
                        new Receipt.Sending(
                                update.trainer(),
                                new RoundId(update.round(), update.epoch()),
                                update.attempt(),
                                crc32c.isPresent() ? Receipt.contentId(crc32c.getAsInt()) : ""),
                        decision));
    }

    private synchronized void poll() {
        try {
            present().forEach(this::welcome);
            for (Path file : files.updates()) {
                look(file);
            }
        } catch (RuntimeException e) {
            if (failure.isEmpty()) {
                failure = Optional.of(e);
                received.add(Optional.empty());
            }
        }
    }

    private List<TrainerPresence> present() {
        List<TrainerPresence> present = new ArrayList<>();
        for (Path file : files.trainers()) {
            JobDirectory.readSmall(file, TrainerPresence.class)
                    .filter(trainer -> trainer.owner().alive(file))
                    .ifPresent(present::add);
        }
        return present;
    }

    /** Answers a join; a client removes its answers before it joins. */
    private void welcome(TrainerPresence trainer) {
        Path answers = files.receipts(trainer.trainer());
        boolean told =
                RecentReceipts.read(answers).receipts().stream()
                        .anyMatch(receipt -> receipt.instance().equals(trainer.instance()));
        if (!told) {
            RecentReceipts.add(
                    answers,
                    Receipt.ofJoin(
                            NAME,
                            run,
                            trainer.trainer(),
                            trainer.instance(),
                            new RoundId(plan.map(RoundPlan::round).orElse(1), 0),
                            0,
                            Decision.of(Status.JOINED)));
        }
    }

    private void look(Path file) {
        RegionHeader header;
        try {
            header = RegionHeader.read(file);
        } catch (RejectedException e) {
            // Its trainer is making it, or removes it.
            return;
        }
        PayloadRef payload = header.payload(file);
        if (header.state() != State.READY || !seen.add(payload)) {
            return;
        }
        UpdateDescription description = UpdateDescription.decode(header.description());
        try {
            received.add(Optional.of(read(header, payload, description)));
        } catch (RejectedException e) {
            answer(description, header.crc32c(), Decision.rejected(e.reason(), e.getMessage()));
            RegionDirectory.release(payload);
        }
    }

    private ReceivedUpdate read(
            RegionHeader header, PayloadRef payload, UpdateDescription description) {
        RoundId open =
                plan.filter(p -> p.state() == RoundPlan.State.OPEN)
                        .map(RoundPlan::id)
                        .orElseThrow(
                                () ->
                                        new RejectedException(
                                                RejectReason.NOT_OPEN, "no round is open"));
        RoundId its = new RoundId(description.round(), description.epoch());
        if (!its.equals(open)) {
            throw new RejectedException(
                    RejectReason.LATE, "it is for round %s, now is round %s".formatted(its, open));
        }
        ModelLayout layout = model.orElseThrow();
        try (TensorFile file = TensorFile.open(payload, layout.maxUpdateHeaderBytes())) {
            file.check(layout, header.crc32c());
            Map<String, ByteBuffer> tensors = new HashMap<>();
            for (TensorInfo tensor : file.header().tensors()) {
                ByteBuffer bytes = file.elements(tensor, 0, Math.toIntExact(tensor.elements()));
                tensors.put(
                        tensor.name(),
                        ByteBuffer.allocate(bytes.remaining())
                                .put(bytes)
                                .flip()
                                .asReadOnlyBuffer());
            }
            return new ReceivedUpdate(description, payload, header.crc32c(), tensors);
        }
    }

    /** Ends it; trainers that still wait wait in vain. */
    @Override
    public void close() {
        poller.shutdown();
        try {
            // What it is at may write a file, and its directory is the caller's again.
            if (!poller.awaitTermination(END_SECONDS, TimeUnit.SECONDS)) {
                poller.shutdownNow();
            }
        } catch (InterruptedException e) {
            poller.shutdownNow();
            Thread.currentThread().interrupt();
        }
    }
}
