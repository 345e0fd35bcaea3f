// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.tributary.node.Node;
import io.tributary.node.NodeSecret;
import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.model.LedgerPart;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.Quarantine;
import io.tributary.operators.model.Quarantine.Breach;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.TestModels;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.UpdateTensors;
import io.tributary.protocol.topology.Topology;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RoundCoordinatorTest {

    /** 5 elements in shards of 2: three shards. */
    private static final Duration LINGER = Duration.ofHours(1);

    private static final SafetensorsHeader HEADER =
            TestModels.header(SafetensorsHeader.tensor("w", DType.F32, 5));

    /** Two groups, one leaf each, one top. */
    private static final Topology TOPOLOGY = Topologies.of(List.of(2, 1), 1);

    @TempDir Path temp;

    private Path model;

    @BeforeEach
    void writeModel() {
        model = TestModels.write(temp.resolve("model"), HEADER, 1);
    }

    private static RoundRules rules(int minimum, int quorum, Duration deadline, Timing timing) {
        return new RoundRules(
                3,
                new RoundRules.Quorum(minimum, quorum),
                new RoundRules.Patience(deadline, Duration.ZERO, LINGER),
                new RoundRules.Folding(timing, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                Map.of(),
                RoundRules.Limits.DEFAULT);
    }

    private CoordinatorHarness harness(RoundRules rules, OperatorSubtaskState... restored)
            throws Exception {
        return new CoordinatorHarness(
                TOPOLOGY, rules, TestModels.spec(model, 2, UpdateKind.WEIGHTS), restored);
    }

    private CoordinatorHarness harness() throws Exception {
        return harness(rules(2, 2, Duration.ZERO, Timing.EAGER));
    }

    private static void assertRejected(CoordinatorHarness harness, RejectReason reason) {
        assertThat(harness.receipt().status()).isEqualTo(Status.REJECTED);
        assertThat(harness.receipt().reason()).isEqualTo(reason);
        List<DeadLetter> letters = harness.side(CoordinatorOutputs.DEAD_LETTERS);
        assertThat(letters.get(letters.size() - 1).reason()).isEqualTo(reason);
    }

    @Test
    void aRoundOpensWithTheMinimumAndClosesWithAll() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            assertThat(harness.plans()).isEmpty();
            harness.join("b", "g1");
            assertThat(harness.plan().id()).isEqualTo(new RoundId(1, 0));
            assertThat(harness.plan().model()).isEqualTo(new RoundId(0, 0));

            harness.update("a", 1, 0, 10);
            assertThat(harness.commands(0))
                    .hasSize(3)
                    .allMatch(c -> c instanceof FoldUpdate && c.node().equals("r1/g0/0@/4"));
            harness.update("b", 1, 0, 20);

            assertThat(harness.commands(0)).filteredOn(CloseNode.class::isInstance).hasSize(6);
            assertThat(harness.commands(1))
                    .hasSize(3)
                    .allMatch(c -> c instanceof CloseNode close && close.contributions() == 2);
            assertThat(harness.plan().id()).isEqualTo(new RoundId(2, 0));
            assertThat(harness.plan().model()).isEqualTo(new RoundId(1, 0));
            assertThat(harness.receipts())
                    .extracting(Receipt::status)
                    .containsExactly(
                            Status.JOINED, Status.JOINED, Status.COMMITTED, Status.COMMITTED);
        }
    }

    @Test
    void theLastRoundEndsTheJob() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            for (int round = 1; round <= 3; round++) {
                harness.update("a", round, 0, round);
                harness.update("b", round, 0, round);
            }
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
            assertThat(harness.plan().model()).isEqualTo(new RoundId(3, 0));
            harness.update("a", 3, 0, 3);
            assertThat(harness.receipt().status()).isEqualTo(Status.DUPLICATE);
            harness.update("a", 4, 0, 9);
            assertRejected(harness, RejectReason.LATE);
        }
    }

    @Test
    void anUpdateCountsOnce() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.update("a", 1, 0, 10);
            assertThat(harness.receipt().status()).isEqualTo(Status.DUPLICATE);
            harness.update("a", 1, 0, 11);
            assertRejected(harness, RejectReason.DIFFERENT_BYTES);
            assertThat(harness.receipt().contentId()).isEqualTo(Receipt.contentId(11));
            assertThat(harness.receipt().text()).contains("the one that counts has 0000000a");
            assertThat(harness.commands(0)).hasSize(3);

            harness.update("b", 1, 0, 20);
            harness.update("a", 1, 0, 10);
            assertThat(harness.receipt().status()).isEqualTo(Status.DUPLICATE);
        }
    }

    @Test
    void whatDoesNotBelongIsRejected() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.update("a", 1, 0, 10);
            assertRejected(harness, RejectReason.NOT_OPEN);
            harness.join("b", "g1");
            harness.update("stranger", 1, 0, 10);
            assertRejected(harness, RejectReason.UNKNOWN_TRAINER);
            harness.update("a", 2, 0, 10);
            assertRejected(harness, RejectReason.NOT_OPEN);
            PayloadRef payload = new PayloadRef("/x", 0, 1, 0);
            harness.send(
                    new TrainerEvent.UpdateStaged(
                            CoordinatorHarness.claim("a", 1, 0, 0, 10, payload)));
            assertRejected(harness, RejectReason.BAD_SAMPLES);
            assertThat(harness.receipt().text())
                    .isEqualTo(
                            "update from trainer a for round 1.0: it has 0 samples, expected 1 to"
                                    + " 1000000000 (rounds.max-samples)");
            harness.update("a", 1, 0, 10);
            harness.update("b", 1, 0, 10);
            harness.join("c", "g0");
            harness.update("c", 1, 0, 10);
            assertRejected(harness, RejectReason.LATE);
        }
    }

    @Test
    void aSecondClientWithTheSameIdIsRejectedWhileTheFirstLives() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.control(Type.JOIN, "a", "one", "g0");
            harness.control(Type.JOIN, "a", "two", "g0");
            assertRejected(harness, RejectReason.DUPLICATE_TRAINER);
            assertThat(harness.receipt().instance()).isEqualTo("two");
            harness.control(Type.LEAVE, "a", "two", "g0");
            harness.control(Type.JOIN, "a", "two", "g0");
            assertRejected(harness, RejectReason.DUPLICATE_TRAINER);
            harness.control(Type.LEAVE, "a", "one", "g0");
            harness.control(Type.HEARTBEAT, "a", "two", "g0");
            assertThat(harness.receipt().status()).isEqualTo(Status.JOINED);
        }
    }

    /** Over shared memory the one before is known to have ended, also while the job was away. */
    @Test
    void aSecondClientTakesThePlaceOfOneThatIsKnownToHaveEnded() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.control(Type.JOIN, "a", "one", "g0");
            harness.send(
                    new TrainerEvent.Control(
                            new ControlMessage(Type.JOIN, CoordinatorHarness.JOB, "a", "two", "g0"),
                            true));
            assertThat(harness.receipt().status()).isEqualTo(Status.JOINED);
            assertThat(harness.receipt().instance()).isEqualTo("two");
            harness.control(Type.LEAVE, "a", "one", "g0");
            harness.join("b", "g1");
            assertThat(harness.plan().id()).as("a is still there").isEqualTo(new RoundId(1, 0));
        }
    }

    @Test
    void anUnknownGroupIsRejectedWithThoseThatThereAre() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "mars");
            assertRejected(harness, RejectReason.UNKNOWN_GROUP);
            assertThat(harness.receipt().text()).contains("'mars'").contains("[g0, g1]");
        }
    }

    @Test
    void whoLeavesIsNotWaitedFor() throws Exception {
        try (CoordinatorHarness harness = harness(rules(2, 1, Duration.ZERO, Timing.EAGER))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            assertThat(harness.plan().round()).isEqualTo(1);
            harness.control(Type.LEAVE, "b", "i-b", "g1");
            assertThat(harness.statuses())
                    .anyMatch(s -> s.state() == RoundStatus.State.CLOSED && s.round() == 1);
        }
    }

    @Test
    void whoComesBackInTimeIsWaitedForAgain() throws Exception {
        try (CoordinatorHarness harness = harness(rules(2, 1, Duration.ZERO, Timing.EAGER))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.control(Type.LEAVE, "b", "i-b", "g1");
            harness.control(Type.HEARTBEAT, "b", "i-b", "g1");
            harness.update("a", 1, 0, 10);
            assertThat(harness.plan().round()).as("still open").isEqualTo(1);
            harness.update("b", 1, 0, 20);
            assertThat(harness.plan().round()).isEqualTo(2);
        }
    }

    private static RoundRules patient(int quorum, Duration silence) {
        return new RoundRules(
                3,
                new RoundRules.Quorum(2, quorum),
                new RoundRules.Patience(Duration.ZERO, silence, LINGER),
                new RoundRules.Folding(Timing.EAGER, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                Map.of(),
                RoundRules.Limits.DEFAULT);
    }

    private static boolean closed(CoordinatorHarness harness) {
        return harness.statuses().stream().anyMatch(s -> s.state() == RoundStatus.State.CLOSED);
    }

    @Test
    void silentTrainersAreForgottenWhileOthersAreHeard() throws Exception {
        try (CoordinatorHarness harness = harness(patient(1, Duration.ofSeconds(30)))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            for (int second = 5; second < 30; second += 5) {
                harness.run(Duration.ofSeconds(5));
                harness.control(Type.HEARTBEAT, "a", "i-a", "g0");
            }
            harness.tick();
            assertThat(closed(harness)).as("after 25 s of silence").isFalse();
            harness.run(Duration.ofSeconds(5));
            harness.control(Type.HEARTBEAT, "a", "i-a", "g0");
            harness.tick();
            assertThat(closed(harness)).as("after 30 s of silence").isTrue();
        }
    }

    /** Item 7: the timer comes before the heartbeats that have queued up. */
    @Test
    void aPauseLosesNobody() throws Exception {
        try (CoordinatorHarness harness = harness(patient(1, Duration.ofSeconds(30)))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            for (int pause = 0; pause < 20; pause++) {
                harness.pause(Duration.ofMinutes(10));
                harness.tick();
                harness.control(Type.HEARTBEAT, "a", "i-a", "g0");
                harness.tick();
                harness.control(Type.HEARTBEAT, "b", "i-b", "g1");
                harness.tick();
            }
            assertThat(harness.plan().round()).as("b is still waited for").isEqualTo(1);
            harness.update("b", 1, 0, 10);
            assertThat(harness.receipt().status()).isEqualTo(Status.COMMITTED);
            assertThat(harness.plan().round()).isEqualTo(2);
        }
    }

    /** A broker that is away, or a job behind back pressure, hears nobody while timers fire. */
    @Test
    void whileNobodyIsHeardSilenceSaysNothing() throws Exception {
        try (CoordinatorHarness harness = harness(patient(1, Duration.ofSeconds(30)))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.run(Duration.ofMinutes(10));
            harness.control(Type.HEARTBEAT, "a", "i-a", "g0");
            harness.tick();
            assertThat(closed(harness)).isFalse();
        }
    }

    @Test
    void aRestoreGivesAllTheWholePatienceAgain() throws Exception {
        RoundRules rules = patient(1, Duration.ofSeconds(30));
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness(rules)) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            for (int second = 5; second < 30; second += 5) {
                harness.run(Duration.ofSeconds(5));
                harness.control(Type.HEARTBEAT, "a", "i-a", "g0");
            }
            snapshot = harness.snapshot(1);
        }
        try (CoordinatorHarness harness = harness(rules, snapshot)) {
            for (int second = 5; second < 30; second += 5) {
                harness.run(Duration.ofSeconds(5));
                harness.control(Type.HEARTBEAT, "a", "i-a", "g0");
                harness.tick();
            }
            assertThat(closed(harness)).isFalse();
            harness.run(Duration.ofSeconds(5));
            harness.control(Type.HEARTBEAT, "a", "i-a", "g0");
            harness.tick();
            assertThat(closed(harness)).isTrue();
        }
    }

    @Test
    void atTheDeadlineAQuorumCloses() throws Exception {
        try (CoordinatorHarness harness =
                harness(rules(2, 1, Duration.ofMinutes(1), Timing.EAGER))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.run(Duration.ofSeconds(59));
            assertThat(harness.plan().round()).isEqualTo(1);
            harness.run(Duration.ofSeconds(1));
            assertThat(harness.plan().round()).isEqualTo(2);
            harness.update("b", 1, 0, 10);
            assertRejected(harness, RejectReason.LATE);
        }
    }

    /** Only time in which the job runs counts, before a restore and after it. */
    @Test
    void aDeadlineIsNotBroughtNearerByAPauseOrARestore() throws Exception {
        RoundRules rules = rules(2, 1, Duration.ofMinutes(1), Timing.EAGER);
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness(rules)) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.run(Duration.ofSeconds(30));
            harness.pause(Duration.ofHours(5));
            harness.tick();
            assertThat(harness.plan().round()).isEqualTo(1);
            snapshot = harness.snapshot(1);
        }
        try (CoordinatorHarness harness = harness(rules, snapshot)) {
            harness.run(Duration.ofSeconds(27));
            assertThat(harness.plan().round()).isEqualTo(1);
            harness.run(Duration.ofSeconds(3));
            assertThat(harness.plan().round()).isEqualTo(2);
        }
    }

    @Test
    void withoutAQuorumTheRoundIsAbandonedAndOpenedAgain() throws Exception {
        try (CoordinatorHarness harness =
                harness(rules(2, 2, Duration.ofMinutes(1), Timing.EAGER))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.run(Duration.ofMinutes(1));
            assertThat(harness.plan().id()).isEqualTo(new RoundId(1, RoundId.epoch(1, 0)));
            assertThat(harness.statuses())
                    .filteredOn(s -> s.state() == RoundStatus.State.ABANDONED && s.epoch() == 0)
                    .extracting(RoundStatus::note)
                    .containsExactly(
                            "round 1.0 had 1 updates at its deadline, the quorum is 2 (rounds.quorum); it begins again");
            assertThat(harness.commands(0)).filteredOn(DropRound.class::isInstance).hasSize(3);
            harness.update("b", 1, 0, 10);
            assertRejected(harness, RejectReason.STALE_EPOCH);
            harness.update("a", 1, RoundId.epoch(1, 0), 10);
            assertThat(harness.receipt().status()).isEqualTo(Status.COMMITTED);
        }
    }

    /** Item 6: one NaN loss is everyday life. */
    @Test
    void aRoundDoesNotWaitForATrainerWhoseUpdateWasRejectedForGood() throws Exception {
        try (CoordinatorHarness harness = harness(rules(2, 1, Duration.ZERO, Timing.EAGER))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.send(
                    new TrainerEvent.InputRejected(
                            new DeadLetter("topic", "b", 1, 0, RejectReason.NOT_FINITE, "NaN"),
                            true,
                            5));
            harness.update("a", 1, 0, 10);
            assertThat(harness.plan().round()).isEqualTo(2);
            harness.send(
                    new TrainerEvent.UpdateStaged(
                            CoordinatorHarness.claim(
                                    "a", 2, 0, -1, 10, new PayloadRef("/x", 0, 1, 0))));
            assertRejected(harness, RejectReason.BAD_SAMPLES);
            harness.update("b", 2, 0, 10);
            assertThat(harness.plan().round()).as("rejected by the coordinator").isEqualTo(3);
        }
    }

    @Test
    void aMendedUpdateThatComesInTimeCounts() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.send(
                    new TrainerEvent.InputRejected(
                            new DeadLetter("topic", "b", 1, 0, RejectReason.NOT_FINITE, "NaN"),
                            true,
                            5));
            harness.update("b", 1, 0, 10);
            assertThat(harness.receipt().status()).isEqualTo(Status.COMMITTED);
            harness.update("a", 1, 0, 10);
            assertThat(harness.plan().round()).isEqualTo(2);
        }
    }

    @Test
    void aRejectionThatIsNotFinalOrNotOfThisRoundChangesNothing() throws Exception {
        try (CoordinatorHarness harness = harness(rules(2, 1, Duration.ZERO, Timing.EAGER))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            for (RejectReason reason : List.of(RejectReason.NODE_LOST, RejectReason.PAYLOAD_LOST)) {
                harness.send(
                        new TrainerEvent.InputRejected(
                                new DeadLetter("topic", "b", 1, 0, reason, "x"), true, 5));
            }
            harness.send(
                    new TrainerEvent.InputRejected(
                            new DeadLetter("topic", "b", 2, 0, RejectReason.NOT_FINITE, "x"),
                            true,
                            5));
            assertThat(harness.plan().round()).as("b is still waited for").isEqualTo(1);
        }
    }

    /** Item 10: two restores of one checkpoint make two models, and no update counts in both. */
    @Test
    void restoresOfOneCheckpointShareNoVersionAndNoOpening() throws Exception {
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            snapshot = harness.snapshot(1);
        }
        Set<RoundId> models = new HashSet<>();
        Set<RoundId> openings = new HashSet<>();
        RoundId stale = new RoundId(2, 0);
        for (int nonce : new int[] {7, -8, 9}) {
            CoordinatorHarness.nonce(nonce);
            try (CoordinatorHarness harness =
                    harness(rules(2, 2, Duration.ZERO, Timing.EAGER), snapshot)) {
                harness.update("b", 1, 0, 20);
                assertThat(harness.receipt().status())
                        .as("the round that was open keeps its identity")
                        .isEqualTo(Status.COMMITTED);
                assertThat(models.add(harness.plan().model())).isTrue();
                assertThat(openings.add(harness.plan().id())).isTrue();
                harness.update("a", 2, stale.epoch(), 30);
                assertRejected(harness, RejectReason.STALE_EPOCH);
                stale = harness.plan().id();
            } finally {
                CoordinatorHarness.nonce(0);
            }
        }
    }

    @Test
    void evenTheFirstStartHasAnEpochOfItsOwn() throws Exception {
        CoordinatorHarness.nonce(42);
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            assertThat(harness.plan().id()).isEqualTo(new RoundId(1, 42));
        } finally {
            CoordinatorHarness.nonce(0);
        }
    }

    /** Item 3. */
    @Test
    void aJobTakesNoMoreTrainersThanItMay() throws Exception {
        try (CoordinatorHarness harness = harness(limited(new RoundRules.Limits(2, 100)))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.join("c", "g0");
            assertRejected(harness, RejectReason.TOO_MANY_TRAINERS);
            assertThat(harness.receipt().text()).contains("2 trainers").contains("max-trainers");
            harness.join("a", "g0");
            assertThat(harness.receipt().status()).isEqualTo(Status.JOINED);
            harness.control(Type.LEAVE, "a", "i-a", "g0");
            harness.join("c", "g0");
            assertThat(harness.receipt().status()).isEqualTo(Status.JOINED);
        }
    }

    /** Item 12. */
    @Test
    void nobodyOwnsTheModelByItsSamples() throws Exception {
        try (CoordinatorHarness harness = harness(limited(new RoundRules.Limits(2, 100)))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            PayloadRef payload = new PayloadRef("/x", 0, 1, 0);
            for (long samples : new long[] {101, Long.MAX_VALUE, Long.MIN_VALUE, 0}) {
                harness.send(
                        new TrainerEvent.UpdateStaged(
                                CoordinatorHarness.claim("a", 1, 0, samples, 10, payload)));
                assertRejected(harness, RejectReason.BAD_SAMPLES);
                assertThat(harness.receipt().text()).contains("expected 1 to 100");
            }
            harness.send(
                    new TrainerEvent.UpdateStaged(
                            CoordinatorHarness.claim("a", 1, 0, 100, 10, payload)));
            assertThat(harness.receipt().status()).isEqualTo(Status.COMMITTED);
        }
    }

    private static RoundRules limited(RoundRules.Limits limits) {
        return new RoundRules(
                3,
                new RoundRules.Quorum(2, 2),
                new RoundRules.Patience(Duration.ZERO, Duration.ZERO, LINGER),
                new RoundRules.Folding(Timing.EAGER, UpdateKind.WEIGHTS, Algorithm.FEDAVG, true),
                Map.of(),
                limits);
    }

    /** Item 3: what a leaf has is counted, not looked for; also when members go and come back. */
    @Test
    void manyTrainersJoinQuicklyAndSpreadEvenly() throws Exception {
        try (CoordinatorHarness harness =
                new CoordinatorHarness(
                        Topologies.of(List.of(1, 1), 100),
                        rules(1_000_000, 1, Duration.ZERO, Timing.EAGER),
                        TestModels.spec(model, 100, UpdateKind.WEIGHTS))) {
            long start = System.nanoTime();
            for (int i = 0; i < 10_000; i++) {
                harness.join("t-" + i, "g0");
            }
            assertThat(Duration.ofNanos(System.nanoTime() - start))
                    .as("it took more than a minute when members were counted")
                    .isLessThan(Duration.ofSeconds(20));
            assertThat(harness.receipts()).hasSize(10_000);
        }
    }

    /** Item 2: what a member shows with each chunk. */
    @Test
    void whoJoinsGetsTheTokenOfThisRun() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            Receipt joined = harness.receipt();
            assertThat(joined.run()).isEqualTo(CoordinatorHarness.RUN.id());
            assertThat(CoordinatorHarness.RUN.gave(joined.token(), "a", "i-a")).isTrue();
            assertThat(CoordinatorHarness.RUN.gave(joined.token(), "b", "i-a")).isFalse();
            assertThat(CoordinatorHarness.RUN.gave(joined.token(), "a", "i-b")).isFalse();
            assertThat(Run.of("another").gave(joined.token(), "a", "i-a")).isFalse();
            assertThat(harness.plans()).noneMatch(p -> p.toString().contains("secret"));
        }
    }

    @Test
    void lazyRoundsFoldAtTheCloseShardAfterShard() throws Exception {
        try (CoordinatorHarness harness = harness(rules(2, 2, Duration.ZERO, Timing.LAZY))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            assertThat(harness.commands(0)).isEmpty();
            harness.update("b", 1, 0, 20);
            assertThat(harness.commands(0))
                    .extracting(AggregatorInput::shard)
                    .containsExactly(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2);
        }
    }

    @Test
    void aSnapshotInTheMiddleKeepsTheRoundAndRaisesTheEpochOfTheNext() throws Exception {
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            snapshot = harness.snapshot(1);
            harness.update("b", 1, 0, 20);
            assertThat(harness.plan().id()).isEqualTo(new RoundId(2, 0));
        }
        try (CoordinatorHarness harness =
                harness(rules(2, 2, Duration.ZERO, Timing.EAGER), snapshot)) {
            harness.update("a", 1, 0, 10);
            assertThat(harness.receipt().status()).isEqualTo(Status.DUPLICATE);
            assertThat(harness.plans()).as("announced again").hasSize(1);
            harness.update("a", 2, 0, 10);
            assertRejected(harness, RejectReason.STALE_EPOCH);
            harness.update("b", 1, 0, 20);
            assertThat(harness.receipt().status()).isEqualTo(Status.COMMITTED);
            assertThat(harness.plan().id()).isEqualTo(new RoundId(2, RoundId.epoch(1, 0)));
            harness.update("a", 2, 0, 10);
            assertRejected(harness, RejectReason.STALE_EPOCH);
        }
    }

    private static List<String> released(CoordinatorHarness harness, boolean checkpointed) {
        List<RegionReleases> releases = harness.side(CoordinatorOutputs.RELEASES);
        return releases.stream()
                .filter(release -> release.checkpointed() == checkpointed)
                .flatMap(release -> release.payloads().stream())
                .map(PayloadRef::path)
                .toList();
    }

    /** They leave before its barrier, so whoever releases them waits for that checkpoint. */
    @Test
    void regionsAreReleasedWithTheCheckpointThatHoldsTheirFold() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.send(staged("a", Path.of("/a.region")));
            assertThat(released(harness, true)).isEmpty();
            harness.snapshot(1);
            harness.send(staged("a", Path.of("/again.region")));
            assertThat(released(harness, false)).as("a duplicate").containsExactly("/again.region");
            harness.send(staged("b", Path.of("/b.region")));
            assertThat(released(harness, true)).containsExactly("/a.region");
            harness.snapshot(2);
            assertThat(released(harness, true)).containsExactly("/a.region", "/b.region");
            harness.snapshot(3);
            assertThat(released(harness, true)).hasSize(2);
        }
    }

    @Test
    void aFileThatIsNoRegionIsSomebodyElses() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.snapshot(1);
            assertThat(released(harness, true)).isEmpty();
        }
    }

    @Test
    void theRegionThatCountsSurvivesBeingClaimedAgain() throws Exception {
        for (Timing timing : Timing.values()) {
            try (CoordinatorHarness harness = harness(rules(2, 2, Duration.ZERO, timing))) {
                harness.join("a", "g0");
                harness.join("b", "g1");
                harness.send(staged("a", Path.of("/a.region")));
                harness.send(staged("a", Path.of("/a.region")));
                harness.snapshot(1);
                assertThat(released(harness, false)).isEmpty();
                assertThat(released(harness, true)).hasSize(timing == Timing.LAZY ? 0 : 1);
            }
        }
    }

    @Test
    void aLazyRoundGoesOnWithoutARegionThatIsGone() throws Exception {
        RoundRules rules = rules(2, 1, Duration.ZERO, Timing.LAZY);
        Path a = Files.writeString(temp.resolve("a.region"), "x");
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness(rules)) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.send(staged("a", a));
            snapshot = harness.snapshot(1);
        }
        Files.delete(a);
        try (CoordinatorHarness harness = harness(rules, snapshot)) {
            harness.join("a", "g0");
            assertThat(harness.receipts()).anyMatch(r -> r.reason() == RejectReason.PAYLOAD_LOST);
        }
    }

    private static TrainerEvent promised(String trainer, int round, PayloadRef payload) {
        Claim claim = CoordinatorHarness.claim(trainer, round, 0, 1, 10, payload);
        return new TrainerEvent.UpdateStaged(
                new Claim(
                        claim.job(),
                        claim.trainer(),
                        claim.round(),
                        claim.epoch(),
                        claim.attempt(),
                        claim.samples(),
                        claim.kind(),
                        claim.crc32c(),
                        false,
                        payload,
                        Map.of()));
    }

    private static PayloadRef ref(String name) {
        return new PayloadRef("/x/" + name, 4096, 1, 1);
    }

    private Quarantine quarantine() {
        return new Quarantine(
                CoordinatorHarness.models(TestModels.spec(model, 2, UpdateKind.WEIGHTS)));
    }

    /** What it knows does not depend on a checkpoint, nor on the update's coming again. */
    @Test
    void whoBreaksAPromiseIsTakenAtItsWordNoMore() throws Exception {
        quarantine().put("a", Breach.PROMISE);
        for (int start = 0; start < 2; start++) {
            try (CoordinatorHarness harness = harness()) {
                harness.join("a", "g0");
                harness.join("b", "g1");
                harness.send(promised("b", 1, ref("others")));
                assertThat(harness.receipt().status()).isEqualTo(Status.COMMITTED);
                harness.send(promised("a", 1, ref("poisoned")));
                assertRejected(harness, RejectReason.PROMISE_NOT_TAKEN);
                assertThat(harness.receipt().text()).contains("send it without the promise");
                assertThat(harness.plan().round()).as("it may send it again").isEqualTo(1);
                harness.update("a", 1, 0, 10);
                assertThat(harness.receipt().status())
                        .as("the job has read it")
                        .isEqualTo(Status.COMMITTED);
                assertThat(harness.plan().round()).isEqualTo(2);
                harness.send(promised("a", 1, ref("again")));
                assertThat(harness.receipt().status())
                        .as("one that counts is a duplicate first")
                        .isEqualTo(Status.DUPLICATE);
            }
        }
    }

    @Test
    void whoChangesAnUpdateAfterItWasReadIsNotHeardAnyMore() throws Exception {
        quarantine().put("a", Breach.CHANGE);
        quarantine().put("a", Breach.PROMISE);
        try (CoordinatorHarness harness = harness(rules(2, 1, Duration.ZERO, Timing.EAGER))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            assertRejected(harness, RejectReason.CHECKSUM);
            harness.send(promised("a", 1, ref("another")));
            assertRejected(harness, RejectReason.CHECKSUM);
            harness.send(promised("b", 1, ref("others")));
            assertThat(harness.plan().round()).as("nobody waits for it").isEqualTo(2);
        }
    }

    @Test
    void aLazyRoundGoesOnWithoutAnUpdateThatWasChanged() throws Exception {
        RoundRules rules = rules(2, 1, Duration.ZERO, Timing.LAZY);
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness(rules)) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            snapshot = harness.snapshot(1);
        }
        quarantine().put("a", Breach.CHANGE);
        try (CoordinatorHarness harness = harness(rules, snapshot)) {
            harness.join("b", "g1");
            assertThat(harness.receipts()).anyMatch(r -> r.reason() == RejectReason.CHECKSUM);
        }
    }

    /** What is no entry is passed over, and one file is enough for a trainer. */
    @Test
    void aDamagedQuarantineKeepsNoJobFromStarting() throws Exception {
        quarantine().put("a", Breach.PROMISE);
        quarantine().put("a", Breach.PROMISE);
        Path directory = temp.resolve("models/quarantine");
        Files.writeString(directory.resolve("x.json"), "{");
        assertThat(quarantine().read()).containsExactly(Map.entry("a", Breach.PROMISE));
        try (Stream<Path> files = Files.list(directory)) {
            assertThat(files).hasSize(2);
        }
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
        }
    }

    private static TrainerEvent staged(String trainer, Path region) {
        return new TrainerEvent.UpdateStaged(
                CoordinatorHarness.claim(
                        trainer, 1, 0, 1, 10, new PayloadRef(region.toString(), 0, 1, 1)));
    }

    private static TrainerEvent staged(String trainer, String node) {
        return new TrainerEvent.UpdateStaged(
                CoordinatorHarness.claim(
                        trainer,
                        1,
                        0,
                        1,
                        10,
                        new PayloadRef("/x/job/updates/00-%s.region".formatted(trainer), 0, 1, 1)
                                .on(node)));
    }

    @Test
    void updatesAreFoldedOnTheHostWhereTheyLieAlsoAfterARestore() throws Exception {
        RoundRules rules = rules(2, 3, Duration.ZERO, Timing.EAGER);
        try (Node node =
                Node.start(
                        new Node.Options(
                                "a",
                                "127.0.0.1",
                                0,
                                0,
                                Files.createDirectories(temp.resolve("regions")),
                                0),
                        new NodeSecret("a secret of many letters"))) {
            PayloadStore.Place place =
                    new PayloadStore.Place(temp.resolve("regions").toString(), node.localPort());
            ModelSpec spec = TestModels.spec(model, 2, UpdateKind.WEIGHTS);
            OperatorSubtaskState snapshot;
            try (CoordinatorHarness harness =
                    new CoordinatorHarness(TOPOLOGY, rules, spec, place)) {
                harness.join("a", "g0");
                harness.join("b", "g1");
                assertThat(harness.plans()).as("nobody knows where anybody is").isEmpty();
                for (int subtask = 0; subtask < 4; subtask++) {
                    harness.send(
                            new TrainerEvent.SubtaskLocated(
                                    subtask, 4, subtask % 2 == 0 ? "a" : "b"));
                }
                assertThat(harness.plan().id()).isEqualTo(new RoundId(1, 0));
                harness.send(staged("a", "b"));
                assertThat(harness.commands(0))
                        .hasSize(3)
                        .allMatch(c -> c.node().equals("r1/g0/0@1.3/4"));

                snapshot = harness.snapshot(1);
            }
            try (CoordinatorHarness harness =
                    new CoordinatorHarness(TOPOLOGY, rules, spec, place, snapshot)) {
                // The subtasks have moved, the open round has not.
                for (int subtask = 0; subtask < 4; subtask++) {
                    harness.send(
                            new TrainerEvent.SubtaskLocated(
                                    subtask, 4, subtask % 2 == 0 ? "b" : "a"));
                }
                harness.join("c", "g0");
                harness.send(staged("c", "b"));
                assertThat(harness.commands(0))
                        .hasSize(3)
                        .allMatch(c -> c.node().equals("r1/g0/0@1.3/4"));
                harness.send(staged("b", "a"));
                assertThat(harness.commands(0))
                        .filteredOn(CloseNode.class::isInstance)
                        .extracting(AggregatorInput::node, c -> ((CloseNode) c).contributions())
                        .contains(tuple("r1/g0/0@1.3/4", 2), tuple("r1/g1/0@0.2/4", 1))
                        .hasSize(6);
                assertThat(harness.commands(1))
                        .hasSize(3)
                        .allMatch(c -> c.node().equals("r2@*"))
                        .allMatch(c -> ((CloseNode) c).contributions() == 2);
            }
        }
    }

    @Test
    void whatASourceRejectedIsAnswered() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            DeadLetter letter = new DeadLetter("topic", "a", 1, 0, RejectReason.NOT_FINITE, "text");
            harness.send(new TrainerEvent.InputRejected(letter, true, 5));
            assertRejected(harness, RejectReason.NOT_FINITE);
            assertThat(harness.receipt().attempt()).isEqualTo(5);
            harness.send(new TrainerEvent.InputRejected(letter, false, 0, "client"));
            assertThat(harness.receipt().instance()).isEqualTo("client");
            assertThat(harness.receipt().status()).isEqualTo(Status.REJECTED);
            int receipts = harness.receipts().size();
            harness.send(new TrainerEvent.InputRejected(letter));
            assertThat(harness.receipts()).hasSize(receipts);
            assertThat(harness.side(CoordinatorOutputs.DEAD_LETTERS)).hasSize(3);
        }
    }

    /** So that a client ignores the plan of a round that is over. */
    @Test
    void theAnswerToAJoinNamesTheRoundOfNow() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            assertThat(harness.receipt().round()).isEqualTo(1);
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.update("b", 1, 0, 20);
            harness.join("c", "g0");
            assertThat(harness.receipt().status()).isEqualTo(Status.JOINED);
            assertThat(harness.receipt().round()).isEqualTo(2);
            assertThat(harness.receipt().restores()).isZero();
        }
    }

    @Test
    void trainersOfAGroupSpreadOverItsLeaves() throws Exception {
        try (CoordinatorHarness harness =
                new CoordinatorHarness(
                        Topologies.of(List.of(1, 1), 3),
                        rules(4, 4, Duration.ZERO, Timing.EAGER),
                        TestModels.spec(model, 100, UpdateKind.WEIGHTS))) {
            for (String trainer : List.of("a", "b", "c", "d")) {
                harness.join(trainer, "g0");
            }
            for (String trainer : List.of("a", "b", "c", "d")) {
                harness.update(trainer, 1, 0, 1);
            }
            assertThat(harness.commands(0))
                    .filteredOn(FoldUpdate.class::isInstance)
                    .extracting(AggregatorInput::node)
                    .containsExactly("r1/g0/0@/4", "r1/g0/1@/4", "r1/g0/2@/4", "r1/g0/0@/4");
        }
    }

    @Test
    void aJobEndsWhenAllHaveLeftAndOnlyForItsOwnRun() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            for (int round = 1; round <= 3; round++) {
                harness.update("a", round, 0, round);
                harness.update("b", round, 0, round);
            }
            harness.control(ControlMessage.Type.LEAVE, "a", "i-a", "g0");
            harness.tick();
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.FINISHED);
            harness.control(ControlMessage.Type.LEAVE, "b", "i-b", "g1");
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.ENDED);
            assertThat(CoordinatorHarness.RUN.endsWith(harness.plan())).isTrue();
            assertThat(Run.of("another").endsWith(harness.plan())).isFalse();
        }
    }

    @Test
    void aLedgerNamesWhatIsInAModelAndAModelMadeAfterARestoreHasAnotherEpoch() throws Exception {
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness()) {
            harness.join("b", "g1");
            harness.join("a", "g0");
            harness.update("b", 1, 0, 20);
            snapshot = harness.snapshot(1);
            harness.update("a", 1, 0, 10);
            assertThat(harness.side(CoordinatorOutputs.LEDGERS))
                    .containsExactly(
                            new LedgerPart(
                                    new RoundLedger(
                                            CoordinatorHarness.JOB,
                                            1,
                                            0,
                                            0,
                                            "",
                                            "0.0",
                                            2,
                                            Map.of(),
                                            Map.of(),
                                            List.of(
                                                    new RoundLedger.Entry("b", 1, "00000014"),
                                                    new RoundLedger.Entry("a", 1, "0000000a"))),
                                    0,
                                    true));
            assertThat(harness.plan().model()).isEqualTo(new RoundId(1, 0));
        }
        try (CoordinatorHarness harness =
                harness(rules(2, 2, Duration.ZERO, Timing.EAGER), snapshot)) {
            harness.update("a", 1, 0, 11);
            assertThat(harness.receipt().status()).isEqualTo(Status.COMMITTED);
            assertThat(harness.plan().model())
                    .as("other bytes")
                    .isEqualTo(new RoundId(1, RoundId.epoch(1, 0)));
            assertThat(harness.plan().restores()).isEqualTo(1);
            assertThat(harness.commands(1))
                    .allMatch(
                            c ->
                                    ((CloseNode) c)
                                            .end()
                                            .model()
                                            .equals(new RoundId(1, RoundId.epoch(1, 0))));
        }
    }

    @Test
    void anOpenRoundKeepsItsTreeWhenTheFanInChanges() throws Exception {
        OperatorSubtaskState snapshot;
        Topology before = Topologies.of(List.of(2, 1), 2);
        RoundRules rules = rules(2, 2, Duration.ZERO, Timing.EAGER);
        var model0 = TestModels.spec(model, 2, UpdateKind.WEIGHTS);
        try (CoordinatorHarness harness = new CoordinatorHarness(before, rules, model0)) {
            harness.join("a", "g0");
            harness.join("b", "g0");
            harness.update("a", 1, 0, 1);
            snapshot = harness.snapshot(1);
        }
        try (CoordinatorHarness harness =
                new CoordinatorHarness(TOPOLOGY, rules, model0, snapshot)) {
            harness.update("b", 1, 0, 2);
            assertThat(harness.commands(0))
                    .filteredOn(CloseNode.class::isInstance)
                    .extracting(AggregatorInput::node)
                    .containsOnly("r1/g0/0@/4", "r1/g0/1@/4");
            harness.update("a", 2, RoundId.epoch(1, 0), 3);
            harness.update("b", 2, RoundId.epoch(1, 0), 4);
            assertThat(harness.commands(0))
                    .filteredOn(c -> c.round().round() == 2)
                    .extracting(AggregatorInput::node)
                    .containsOnly("r1/g0/0@/4");
        }
        Topology other = Topologies.of(List.of(3, 1), 2);
        assertThatThrownBy(() -> new CoordinatorHarness(other, rules, model0, snapshot))
                .hasStackTraceContaining("the savepoint is of another topology: its groups are");
    }

    @Test
    void whoseUpdateFoundNoRoomIsAskedAgain() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.send(new TrainerEvent.CapacityFreed("a", new RoundId(1, 0), 5));
            assertThat(harness.receipt().status()).isEqualTo(Status.RESEND);
            assertThat(harness.receipt().trainer()).isEqualTo("a");
        }
    }

    /**
     * Until the close a median's updates are in no sum; a region that is lost then is an update
     * lost.
     */
    @Test
    void whatIsGatheredIsPromisedAtTheClose() throws Exception {
        RoundRules rules =
                new RoundRules(
                        3,
                        new RoundRules.Quorum(2, 2),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, LINGER),
                        new RoundRules.Folding(
                                Timing.EAGER,
                                UpdateKind.WEIGHTS,
                                Algorithm.named("median", Map.of()),
                                true),
                        Map.of(),
                        RoundRules.Limits.DEFAULT);
        try (CoordinatorHarness harness = harness(rules)) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.update("a", 1, 0, 10);
            assertThat(harness.receipts())
                    .extracting(Receipt::status)
                    .containsExactly(Status.JOINED, Status.JOINED);
            harness.update("b", 1, 0, 20);
            assertThat(harness.receipts())
                    .extracting(Receipt::status)
                    .containsExactly(
                            Status.JOINED, Status.JOINED, Status.COMMITTED, Status.COMMITTED);
            harness.update("a", 1, 0, 10);
            assertThat(harness.receipt().status()).isEqualTo(Status.DUPLICATE);
        }
    }

    /** Shared memory knows which of its own clients live, and nothing of those at a broker. */
    @Test
    void aClientThatLivesIsNotReplacedByOneOfAnotherTransport() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            TrainerEvent sole =
                    new TrainerEvent.Control(
                            new ControlMessage(
                                    ControlMessage.Type.JOIN,
                                    CoordinatorHarness.JOB,
                                    "a",
                                    "i-2",
                                    "g0"),
                            true);
            harness.send("shm", sole);
            assertRejected(harness, RejectReason.DUPLICATE_TRAINER);
            assertThat(harness.outbound())
                    .extracting(OutboundReceipt::transport)
                    .containsExactly("mqtt", "shm");
            harness.send("mqtt", sole);
            assertThat(harness.receipt().status()).isEqualTo(Status.JOINED);
        }
    }

    /** Shared memory has no tokens: what comes there is not believed of a trainer at a broker. */
    @Test
    void nobodySpeaksForATrainerOverAnotherTransport() throws Exception {
        try (CoordinatorHarness harness = harness()) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.send(
                    "shm",
                    new TrainerEvent.UpdateStaged(
                            CoordinatorHarness.claim(
                                    "a", 1, 0, 1000, 66, new PayloadRef("/x", 0, 1, 0))));
            assertRejected(harness, RejectReason.UNKNOWN_TRAINER);
            assertThat(harness.receipt().text()).contains("joined over another transport than shm");
            harness.send(
                    "shm",
                    new TrainerEvent.InputRejected(
                            new DeadLetter("s", "b", 1, 0, RejectReason.MALFORMED, "x"), true, 1));
            harness.send(
                    "shm",
                    new TrainerEvent.Control(
                            new ControlMessage(
                                    ControlMessage.Type.LEAVE,
                                    CoordinatorHarness.JOB,
                                    "b",
                                    "i-b",
                                    "g1")));
            harness.update("a", 1, 0, 10);
            assertThat(harness.receipt().status()).isEqualTo(Status.COMMITTED);
            assertThat(harness.plan().round()).as("it still waits for b").isEqualTo(1);
            harness.update("b", 1, 0, 20);
            assertThat(harness.plan().round()).isEqualTo(2);
        }
    }

    /** What was kept would never be folded, or what was folded would be folded again. */
    @Test
    void anOpenRoundIsNotResumedWithAnotherWayOfFolding() throws Exception {
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness(rules(2, 2, Duration.ZERO, Timing.LAZY))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            snapshot = harness.snapshot(1);
        }
        assertThatThrownBy(() -> harness(rules(2, 2, Duration.ZERO, Timing.EAGER), snapshot))
                .isInstanceOf(SuppressRestartsException.class)
                .hasRootCauseMessage(
                        "round 1.0 is open and is lazy, this job's rounds are eager; resume with the algorithm and the timing of before until the round has closed");
    }

    private static RoundRules by(Algorithm algorithm) {
        return by(algorithm, UpdateTensors.ALL);
    }

    private static RoundRules by(Algorithm algorithm, UpdateTensors tensors) {
        return new RoundRules(
                3,
                new RoundRules.Quorum(2, 2),
                new RoundRules.Patience(Duration.ZERO, Duration.ZERO, LINGER),
                new RoundRules.Folding(Timing.EAGER, UpdateKind.WEIGHTS, algorithm, true, tensors),
                Map.of(),
                RoundRules.Limits.DEFAULT);
    }

    /** What is folded has been weighted by the rule of before. */
    @Test
    void anOpenRoundIsNotResumedWithOtherWeights() throws Exception {
        OperatorSubtaskState open;
        OperatorSubtaskState closed;
        try (CoordinatorHarness harness = harness(by(Algorithm.FEDAVG))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            closed = harness.snapshot(1);
            harness.update("a", 1, 0, 10);
            open = harness.snapshot(2);
        }
        Algorithm equal = Algorithm.named("feddyn", Map.of());
        assertThatThrownBy(() -> harness(by(equal), open))
                .isInstanceOf(SuppressRestartsException.class)
                .hasRootCauseMessage(
                        "round 1.0 is open and is eager, this job's rounds are eager by EqualMean[]; resume with the algorithm and the timing of before until the round has closed");
        UpdateTensors other = new UpdateTensors(false, List.of("head.*"));
        assertThatThrownBy(() -> harness(by(Algorithm.FEDAVG, other), open))
                .hasRootCauseMessage(
                        "round 1.0 is open and is eager, this job's rounds are eager of %s; resume with the algorithm and the timing of before until the round has closed",
                        other);
        try (CoordinatorHarness harness =
                harness(by(Algorithm.named("fedadam", Map.of())), closed)) {
            assertThat(harness.plan().state()).isEqualTo(RoundPlan.State.OPEN);
        }
    }

    /**
     * Slots mean nothing to another algorithm, which is told at once and not at the first close.
     */
    @Test
    void anAlgorithmThatRemembersSomethingElseDoesNotGoOn() throws Exception {
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness(by(Algorithm.named("fedadam", Map.of())))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.update("b", 1, 0, 20);
            snapshot = harness.snapshot(1);
        }
        assertThatThrownBy(() -> harness(by(Algorithm.FEDAVG), snapshot))
                .isInstanceOf(SuppressRestartsException.class)
                .hasRootCauseMessage(
                        "the savepoint is of an algorithm that remembers [m, v], and this job's remembers []; resume with the algorithm of before, or submit a new job whose model.initial is the newest model");
        try (CoordinatorHarness harness =
                harness(by(Algorithm.named("fedyogi", Map.of())), snapshot)) {
            assertThat(harness.plan().round()).isEqualTo(2);
        }
    }

    /** Models of before have other tensors, also when no round is open. */
    @Test
    void anAlgorithmWithOtherTensorSetsDoesNotGoOn() throws Exception {
        OperatorSubtaskState snapshot;
        try (CoordinatorHarness harness = harness(by(Algorithm.FEDAVG))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            harness.update("a", 1, 0, 10);
            harness.update("b", 1, 0, 20);
            snapshot = harness.snapshot(1);
        }
        Algorithm scaffold = Algorithm.named("scaffold", Map.of("flavor", "flame"));
        assertThatThrownBy(() -> harness(by(scaffold), snapshot))
                .isInstanceOf(SuppressRestartsException.class)
                .hasRootCauseMessage(
                        "the savepoint is of an algorithm with tensor set none, this job's has control; resume with the algorithm of before, or submit a new job whose model.initial is the newest model");
        OperatorSubtaskState with;
        try (CoordinatorHarness harness = harness(by(scaffold))) {
            harness.join("a", "g0");
            harness.join("b", "g1");
            with = harness.snapshot(1);
        }
        try (CoordinatorHarness harness = harness(by(scaffold), with)) {
            assertThat(harness.plan().expects().sets()).containsExactly("control");
        }
        assertThatThrownBy(() -> harness(by(Algorithm.FEDAVG), with))
                .hasRootCauseMessage(
                        "the savepoint is of an algorithm with tensor set control, this job's has none; resume with the algorithm of before, or submit a new job whose model.initial is the newest model");
    }
}
