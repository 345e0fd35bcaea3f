// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.sink;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.connector.sink2.CommittableMessage;
import org.apache.flink.streaming.api.connector.sink2.CommittableWithLineage;
import org.apache.flink.streaming.runtime.operators.sink.SinkWriterOperatorFactory;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The sink in Flink's own writer operator, with a snapshot and restore in the middle. */
class CheckpointedSinkTest {

    /** What has left, by the purpose of the egress that sent it. */
    private static final List<String> LEFT = new ArrayList<>();

    private static int connections;
    private static boolean there;

    /** A value. */
    record Note(String text, boolean durable) {}

    /** Writes down what leaves. */
    private record Recorder(String purpose) implements Egress<Note> {

        @Override
        public long send(Note note) {
            LEFT.add(purpose + ": " + note.text());
            return note.text().length();
        }

        @Override
        public int connections() {
            return connections;
        }

        @Override
        public boolean there(Note note) {
            return there;
        }

        @Override
        public void close() {
            // Nothing is held.
        }
    }

    @BeforeEach
    void forget() {
        LEFT.clear();
        connections = 1;
        there = true;
    }

    private static CheckpointedSink<Note> sink(boolean retained) {
        return new CheckpointedSink<>(Note.class, Recorder::new, Note::durable, retained);
    }

    private static OneInputStreamOperatorTestHarness<Note, CommittableMessage<Note>> writer(
            boolean retained, OperatorSubtaskState... restored) throws Exception {
        var harness =
                new OneInputStreamOperatorTestHarness<Note, CommittableMessage<Note>>(
                        new SinkWriterOperatorFactory<>(sink(retained)));
        harness.setup();
        for (OperatorSubtaskState state : restored) {
            harness.initializeState(state);
        }
        harness.open();
        return harness;
    }

    /** A checkpoint begins: the writer hands on what the committer sends when it has completed. */
    private static List<Note> prepared(
            OneInputStreamOperatorTestHarness<Note, CommittableMessage<Note>> harness,
            long checkpoint)
            throws Exception {
        harness.getOutput().clear();
        harness.prepareSnapshotPreBarrier(checkpoint);
        return harness.extractOutputValues().stream()
                .filter(CommittableWithLineage.class::isInstance)
                .map(message -> ((CommittableWithLineage<Note>) message).getCommittable())
                .toList();
    }

    @Test
    void aDurableValueLeavesByTheCommitterAloneAndAnotherOneAtOnce() throws Exception {
        try (var writer = writer(false)) {
            writer.processElement(new Note("now", false), 0);
            writer.processElement(new Note("later", true), 0);
            assertThat(LEFT).containsExactly("writer: now");
            assertThat(prepared(writer, 1)).extracting(Note::text).containsExactly("later");
            assertThat(LEFT).containsExactly("writer: now");
            assertThat(prepared(writer, 2)).as("each value is handed on once").isEmpty();
        }
        try (Committer<Note> committer = sink(false).createCommitter(null)) {
            committer.commit(List.of(new Request(new Note("later", true))));
        }
        assertThat(LEFT).containsExactly("writer: now", "committer: later");
    }

    @Test
    void theNewestRetainedValueLeavesAgainAfterARestore() throws Exception {
        OperatorSubtaskState snapshot;
        try (var writer = writer(true)) {
            writer.processElement(new Note("old", true), 0);
            writer.processElement(new Note("new", true), 0);
            assertThat(prepared(writer, 1)).extracting(Note::text).containsExactly("old", "new");
            snapshot = writer.snapshot(1, 1);
            assertThat(prepared(writer, 2)).as("nothing was lost meanwhile").isEmpty();
        }
        try (var writer = writer(true, snapshot)) {
            assertThat(prepared(writer, 3)).extracting(Note::text).containsExactly("new");
            assertThat(prepared(writer, 4)).isEmpty();
        }
    }

    @Test
    void anEventDoesNotLeaveAgainAfterARestore() throws Exception {
        OperatorSubtaskState snapshot;
        try (var writer = writer(false)) {
            writer.processElement(new Note("event", true), 0);
            assertThat(prepared(writer, 1)).hasSize(1);
            snapshot = writer.snapshot(1, 1);
        }
        try (var writer = writer(false, snapshot)) {
            assertThat(prepared(writer, 2)).isEmpty();
        }
    }

    @Test
    void aRetainedValueLeavesAgainWhenTheOtherSideMayHaveLostIt() throws Exception {
        try (var writer = writer(true)) {
            writer.processElement(new Note("state", false), 0);
            prepared(writer, 1);
            assertThat(LEFT).containsExactly("writer: state");
            connections++;
            prepared(writer, 2);
            assertThat(LEFT).as("it came back").hasSize(2);
            there = false;
            prepared(writer, 3);
            assertThat(LEFT).as("somebody has removed it").hasSize(3);
            there = true;
            prepared(writer, 4);
            assertThat(LEFT).hasSize(3);
        }
    }

    /** A request to commit, which succeeds. */
    private record Request(Note note) implements Committer.CommitRequest<Note> {

        Request {
            Objects.requireNonNull(note);
        }

        @Override
        public Note getCommittable() {
            return note;
        }

        @Override
        public int getNumberOfRetries() {
            return 0;
        }

        @Override
        public void signalFailedWithKnownReason(Throwable t) {
            throw new AssertionError(t);
        }

        @Override
        public void signalFailedWithUnknownReason(Throwable t) {
            throw new AssertionError(t);
        }

        @Override
        public void retryLater() {
            throw new AssertionError("it is committed at once");
        }

        @Override
        public void updateAndRetryLater(Note updated) {
            throw new AssertionError("it is committed at once");
        }

        @Override
        public void signalAlreadyCommitted() {
            throw new AssertionError("it is committed once");
        }
    }
}
