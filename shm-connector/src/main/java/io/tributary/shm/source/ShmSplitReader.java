// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.source;

import io.tributary.memory.guard.MemoryGuard;
import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.JobLock;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.source.LaneSplit;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.flink.connector.base.source.reader.RecordsBySplits;
import org.apache.flink.connector.base.source.reader.RecordsWithSplitIds;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.connector.base.source.reader.splitreader.SplitsAddition;
import org.apache.flink.connector.base.source.reader.splitreader.SplitsChange;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.groups.SourceReaderMetricGroup;

/** Looks when the bell rings, and every few seconds anyway. */
final class ShmSplitReader implements SplitReader<TrainerEvent, LaneSplit> {

    private static final long SCAN_NANOS = TimeUnit.SECONDS.toNanos(2);

    private static final long POLL_MILLIS = 100;

    /** What is claimed in one go, so that claims flow on while more is being looked at. */
    private static final int MAX_UPDATES = 4;

    private static final Descriptor LOOK = Descriptor.ring(Descriptor.Kind.PING, EndpointId.NONE);

    private final String job;
    private final Run run;
    private final JobDirectory directory;
    private final UpdateInspector updates;
    private final boolean manyHosts;
    private final TrainerRegister trainers;
    private final EvaluationRegister evaluations;
    private final Mailbox mailbox;

    /** More rings than fit need not be kept: a scan then finds what they were about. */
    private final BlockingQueue<Descriptor> rings = new ArrayBlockingQueue<>(4096);

    private final Map<EndpointId, Integer> lanes = new HashMap<>();
    private final Counter descriptorsIn;
    private final Counter foundByScan;
    private final Counter bytesIn;
    private final Counter errorsIn;
    private volatile boolean missed;
    private long scannedAt = System.nanoTime() - SCAN_NANOS;

    ShmSplitReader(
            String job,
            Run run,
            JobDirectory directory,
            UpdateInspector updates,
            boolean manyHosts,
            int agentPort,
            SourceReaderMetricGroup metrics) {
        this.manyHosts = manyHosts;
        MemoryGuard.install();
        this.job = job;
        this.run = run;
        this.directory = directory;
        this.updates = updates;
        this.trainers = new TrainerRegister(job, directory, !manyHosts);
        this.evaluations = new EvaluationRegister(job, directory);
        this.mailbox =
                Mailbox.open(directory.path().getParent(), agentPort, job + "-updates", this::ring);
        this.descriptorsIn = metrics.counter("descriptorsIn");
        this.foundByScan = metrics.counter("foundByScan");
        this.bytesIn = metrics.getIOMetricGroup().getNumBytesInCounter();
        this.errorsIn = metrics.getNumRecordsInErrorsCounter();
        metrics.gauge("mailboxConnected", () -> mailbox.connected() ? 1 : 0);
    }

    /** On the mailbox's thread. */
    private void ring(Descriptor descriptor) {
        switch (descriptor.kind()) {
            case WELCOME -> missed = true;
            case UPDATE, CONTROL -> {
                if (!rings.offer(descriptor)) {
                    missed = true;
                }
            }
            default -> {
                // Nothing that concerns a source.
            }
        }
    }

    @Override
    public void handleSplitsChanges(SplitsChange<LaneSplit> change) {
        if (!(change instanceof SplitsAddition)) {
            throw new UnsupportedOperationException("lanes are only ever added, got " + change);
        }
        JobLock.await(directory.path().getParent(), job, run.id(), manyHosts);
        for (LaneSplit split : change.splits()) {
            if (split.fresh()) {
                directory.discard(split.lane());
            }
            EndpointId id = EndpointId.lane(job, split.lane());
            lanes.put(id, split.lane());
            mailbox.listenHere(id);
        }
        missed = true;
    }

    @Override
    public RecordsWithSplitIds<TrainerEvent> fetch() {
        RecordsBySplits.Builder<TrainerEvent> records = new RecordsBySplits.Builder<>();
        try {
            Descriptor ring = rings.poll(POLL_MILLIS, TimeUnit.MILLISECONDS);
            Set<EndpointId> asking = new HashSet<>();
            for (int i = 0; i < MAX_UPDATES && ring != null; i++) {
                answer(ring, asking, records);
                ring = i + 1 < MAX_UPDATES ? rings.poll() : null;
            }
            if (!asking.isEmpty()) {
                // Once for all of them: when the job asks, all trainers answer together.
                look(asking, records);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (missed || System.nanoTime() - scannedAt >= SCAN_NANOS) {
            missed = false;
            scan(records);
            scannedAt = System.nanoTime();
            if (over()) {
                lanes.values().stream()
                        .map(lane -> new LaneSplit(lane, false).splitId())
                        .forEach(records::addFinishedSplit);
            }
        }
        return records.build();
    }

    private boolean over() {
        try {
            return JobDirectory.read(directory.round(), RoundPlan.class)
                    .filter(run::endsWith)
                    .isPresent();
        } catch (RejectedException e) {
            return false;
        }
    }

    /**
     * Follows what a trainer rings for.
     *
     * @param asking those who ring because of themselves; is added to
     */
    private void answer(
            Descriptor ring,
            Set<EndpointId> asking,
            RecordsBySplits.Builder<TrainerEvent> records) {
        if (ring == LOOK) {
            return;
        }
        descriptorsIn.inc();
        Optional<Integer> lane = Optional.ofNullable(lanes.get(ring.to()));
        if (lane.isEmpty()) {
            return;
        }
        if (ring.kind() == Descriptor.Kind.UPDATE) {
            ring.region()
                    .map(region -> directory.update(lane.get(), region))
                    .flatMap(file -> updates.inspect(file, true))
                    .ifPresent(event -> add(records, event));
        } else {
            asking.add(ring.from());
        }
    }

    /** Looks at what trainers and evaluators say of themselves and of models. */
    private void look(Set<EndpointId> asking, RecordsBySplits.Builder<TrainerEvent> records) {
        Set<Integer> its = Set.copyOf(lanes.values());
        trainers.scan(its, asking, event -> add(records, event));
        evaluations.scan(its, event -> add(records, event));
    }

    private void scan(RecordsBySplits.Builder<TrainerEvent> records) {
        look(Set.of(), records);
        if (manyHosts && !mailbox.connected()) {
            // Other hosts could not read them, and the task that tried would fail.
            return;
        }
        Set<Path> there = new HashSet<>();
        for (int lane : lanes.values()) {
            for (Path file : directory.updates(lane)) {
                there.add(file);
                updates.inspect(file, false)
                        .ifPresent(
                                event -> {
                                    foundByScan.inc();
                                    add(records, event);
                                });
            }
        }
        updates.retain(there);
    }

    private void add(RecordsBySplits.Builder<TrainerEvent> records, TrainerEvent event) {
        if (event instanceof TrainerEvent.InputRejected) {
            errorsIn.inc();
        }
        bytesIn.inc(UpdateInspector.bytes(event));
        // Lanes have no position, so it does not matter which one a record is booked under.
        records.add(new LaneSplit(lanes.values().iterator().next(), false).splitId(), event);
    }

    @Override
    public void wakeUp() {
        rings.offer(LOOK);
    }

    @Override
    public void close() {
        mailbox.close();
    }
}
