// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.chunk.ModelChunkHeader;
import io.tributary.protocol.message.Expected;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundPlan.State;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerShare;
import io.tributary.protocol.message.UpdateKind;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InboxTest {

    private static final Run RUN = Run.of("this");
    private static final Run OTHER = Run.of("another");
    private static final RoundId INITIAL = new RoundId(0, 0);
    private static final RoundId FIRST = new RoundId(1, 0);
    private static final int CHUNK = ChunkPart.MIN_CHUNK_BYTES;
    private static final byte[] FILE = new byte[2 * CHUNK];

    @TempDir Path temp;

    private Inbox inbox;

    @BeforeEach
    void join() {
        inbox = new Inbox("t", "i", temp);
        inbox.joined(joinedIn(0, 0));
    }

    private static Receipt joinedIn(int round, int restores) {
        return new Receipt(
                "job",
                RUN.id(),
                "t-1",
                "i",
                round,
                0,
                0,
                "",
                restores,
                Receipt.Status.JOINED,
                RejectReason.NONE,
                "",
                "token");
    }

    private static RoundPlan plan(Run run, State state, int round, RoundId model) {
        return new RoundPlan(
                "job",
                state,
                round,
                0,
                model.round(),
                model.epoch(),
                UpdateKind.WEIGHTS,
                0,
                0,
                run.id(),
                state == State.ENDED ? run.end() : "");
    }

    private void chunk(RoundId model, int chunk) {
        byte[] bytes = Arrays.copyOfRange(FILE, chunk * CHUNK, (chunk + 1) * CHUNK);
        ChunkPart part =
                new ChunkPart(
                        chunk,
                        2,
                        CHUNK,
                        FILE.length,
                        ChunkPart.crc(ByteBuffer.wrap(FILE)),
                        ChunkPart.crc(ByteBuffer.wrap(bytes)));
        inbox.chunk(new ModelChunkHeader("job", RUN.id(), model, part), bytes);
    }

    private Optional<RoundId> task(Optional<RoundId> before) {
        return inbox.task(before, Optional.empty())
                .flatMap(Inbox.Task::model)
                .map(ModelVersion::id);
    }

    @Test
    void aModelIsAskedForOnlyWhereNothingComes() {
        Optional<RoundId> nothing = Optional.empty();
        assertThat(inbox.starves(nothing)).as("no plan").isFalse();
        RoundPlan plan = plan(RUN, State.OPEN, 1, INITIAL);
        inbox.plan(plan);
        assertThat(inbox.starves(nothing)).as("nothing has come").isTrue();
        chunk(INITIAL, 0);
        assertThat(inbox.starves(nothing)).as("it is coming").isFalse();
        assertThat(inbox.starves(nothing)).as("it came no further").isTrue();
        chunk(INITIAL, 1);
        assertThat(inbox.starves(nothing)).as("it is there").isFalse();
        assertThat(task(nothing)).hasValue(INITIAL);
        chunk(FIRST, 0);
        inbox.starves(nothing);
        assertThat(inbox.starves(Optional.of(plan.id()))).as("no plan names it yet").isFalse();
    }

    @Test
    void aJobThatHasGoneBackGivesItsOlderModel() {
        inbox.plan(plan(RUN, State.OPEN, 2, FIRST));
        chunk(FIRST, 0);
        chunk(FIRST, 1);
        assertThat(task(Optional.empty())).hasValue(FIRST);

        inbox.plan(plan(RUN, State.OPEN, 1, INITIAL));
        chunk(INITIAL, 0);
        chunk(INITIAL, 1);

        assertThat(task(Optional.of(new RoundId(2, 0)))).hasValue(INITIAL);
    }

    private static RoundPlan asking(int round, RoundId model, TrainerShare asked, int restores) {
        return new RoundPlan(
                "job",
                State.EVALUATING,
                round,
                0,
                model.round(),
                model.epoch(),
                UpdateKind.WEIGHTS,
                0,
                restores,
                RUN.id(),
                "",
                Map.of(),
                Expected.NOTHING,
                asked,
                Map.of());
    }

    @Test
    void aPlanThatAsksIsThereForThoseItAsksUntilItIsAnswered() {
        int bucket = TrainerShare.bucket("t");
        inbox.plan(asking(2, FIRST, new TrainerShare((bucket + 1) % TrainerShare.BUCKETS, 255), 0));
        assertThat(inbox.starves(Optional.empty())).as("others are asked").isFalse();
        chunk(FIRST, 0);
        chunk(FIRST, 1);
        assertThat(task(Optional.empty())).as("others are asked").isEmpty();

        RoundPlan plan = asking(2, FIRST, new TrainerShare(bucket, 1), 0);
        inbox.plan(plan);
        assertThat(task(Optional.empty())).hasValue(FIRST);
        assertThat(task(Optional.of(plan.id()))).as("after the last round").hasValue(FIRST);
        assertThat(inbox.task(Optional.empty(), Optional.of(plan))).as("answered").isEmpty();

        inbox.plan(asking(2, FIRST, TrainerShare.ALL, 1));
        assertThat(inbox.task(Optional.empty(), Optional.of(plan))).as("restored").isPresent();
    }

    @Test
    void theModelOfAPlanThatAsksIsAskedForAfterTheLastRoundToo() {
        RoundPlan plan = asking(2, FIRST, TrainerShare.ALL, 0);
        inbox.plan(plan);
        assertThat(inbox.starves(Optional.of(plan.id()))).isTrue();
    }

    @Test
    void theEndOfARunThatTookTheJobOverIsSeen() {
        inbox.plan(plan(RUN, State.OPEN, 1, INITIAL));
        assertThat(inbox.otherRunEnded()).isFalse();
        inbox.plan(plan(OTHER, State.ENDED, 9, INITIAL));
        assertThat(inbox.otherRunEnded()).isTrue();
        assertThat(inbox.ended()).as("whose it is").isFalse();
        assertThat(inbox.otherRun()).as("nobody answers there").isFalse();
    }

    /** A plan leaves with a checkpoint, the answer to a join at once. */
    @Test
    void aPlanOfARoundThatWasOverAtTheJoinIsNotTakenOn() {
        inbox.joined(joinedIn(3, 1));
        inbox.plan(plan(RUN, State.OPEN, 2, INITIAL));
        chunk(INITIAL, 0);
        chunk(INITIAL, 1);
        assertThat(inbox.task(Optional.empty(), Optional.empty())).isEmpty();
        assertThat(inbox.starves(Optional.empty())).isFalse();

        inbox.plan(plan(RUN, State.OPEN, 3, INITIAL));
        assertThat(task(Optional.empty())).hasValue(INITIAL);
    }

    @Test
    void aPlanOfAJobThatHasGoneBackSinceTheJoinIsTakenOn() {
        inbox.joined(joinedIn(3, 1));
        inbox.plan(
                new RoundPlan(
                        "job", State.OPEN, 2, 0, 0, 0, UpdateKind.WEIGHTS, 0, 2, RUN.id(), ""));
        chunk(INITIAL, 0);
        chunk(INITIAL, 1);
        assertThat(task(Optional.empty())).hasValue(INITIAL);
    }
}
