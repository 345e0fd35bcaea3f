// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AdmissionTest {

    private static final Topology TOPOLOGY = Topologies.of(List.of(1), 1);
    private static final long MAX_SAMPLES = 1000;

    private final Admission admission = admission(Algorithm.FEDAVG);
    private final CoordinatorState state = new CoordinatorState();

    @BeforeEach
    void open() {
        state.begin(false, 7);
        TestRounds.join(state, "t", "g0", "mqtt");
        TestRounds.join(state, "u", "g0", "mqtt");
        TestRounds.open(state, TOPOLOGY, 0);
    }

    private static Admission admission(Algorithm algorithm) {
        return new Admission(
                "job",
                new RoundRules(
                        1,
                        new RoundRules.Quorum(1, 1),
                        new RoundRules.Patience(Duration.ZERO, Duration.ZERO, Duration.ZERO),
                        new RoundRules.Folding(
                                RoundRules.Timing.EAGER, UpdateKind.WEIGHTS, algorithm, true),
                        Map.of(),
                        new RoundRules.Limits(10, MAX_SAMPLES)));
    }

    private Claim claim(Map<String, Double> metrics) {
        return new Claim(
                "job",
                "t",
                state.id().round(),
                state.id().epoch(),
                1,
                4,
                UpdateKind.WEIGHTS,
                5,
                true,
                new PayloadRef("/x", 0, 8, 0),
                metrics);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "fednova | steps | | metric 'steps' is missing, expected 1 to 1e+09: the job's algorithm computes with it",
                "fednova | steps | 0.5 | metric 'steps' is 0.5, expected 1 to 1e+09: the job's algorithm computes with it",
                "fednova | steps | 1e300 | metric 'steps' is 1.0E300, expected 1 to 1e+09: the job's algorithm computes with it",
                "qfedavg | squared-norm | | metric 'squared-norm' is missing, expected 0 to 1e+30: the job's algorithm computes with it",
                "qfedavg | squared-norm | -1 | metric 'squared-norm' is -1.0, expected 0 to 1e+30: the job's algorithm computes with it",
                "qfedavg | loss-before | NaN | metric 'loss-before' is missing, expected 0 to 1e+06: the job's algorithm computes with it",
            })
    void whatTheAlgorithmComputesWithMustBeThere(
            String algorithm, String metric, Double value, String why) {
        Map<String, Double> metrics =
                new TreeMap<>(Map.of("steps", 3.0, "loss-before", 0.5, "squared-norm", 2.0));
        Admission judge = admission(Algorithm.named(algorithm, Map.of()));
        assertThat(judge.judge(state, claim(metrics))).isInstanceOf(Verdict.Count.class);
        metrics.remove(metric);
        if (value != null) {
            metrics.put(metric, value);
        }
        assertThat(judge.judge(state, claim(metrics)))
                .isInstanceOfSatisfying(
                        Verdict.Reject.class,
                        reject -> {
                            assertThat(reject.reason()).isEqualTo(RejectReason.BAD_METRIC);
                            assertThat(reject.text())
                                    .isEqualTo(
                                            "update from trainer t for round %s: %s"
                                                    .formatted(state.id(), why));
                        });
        assertThat(Admission.isFinal(RejectReason.BAD_METRIC)).isTrue();
    }

    /** One of a rule of somebody else's. */
    @ParameterizedTest
    @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY})
    void aWeightThatIsNoneIsRejected(double weight) {
        AggregationRule.Streaming rule = claim -> weight;
        Admission judge = admission(new Algorithm(rule, Algorithm.FEDAVG.optimizer()));
        assertThat(judge.judge(state, claim(Map.of())))
                .isInstanceOfSatisfying(
                        Verdict.Reject.class,
                        reject ->
                                assertThat(reject.text())
                                        .contains(
                                                "its weight would be %s and its totals {}"
                                                        .formatted(weight)));
    }

    /** Nothing is wrong with one that is only late. */
    @Test
    void aLateUpdateWithoutTheMetricIsLate() {
        Admission judge = admission(Algorithm.named("fednova", Map.of()));
        Claim late = claim("job", "t", new RoundId(0, 0), 1, UpdateKind.WEIGHTS, 5);
        assertThat(judge.judge(state, late))
                .isInstanceOfSatisfying(
                        Verdict.Reject.class,
                        reject -> assertThat(reject.reason()).isEqualTo(RejectReason.LATE));
    }

    private static Claim claim(
            String job, String trainer, RoundId id, long samples, UpdateKind kind, int crc) {
        return new Claim(
                job,
                trainer,
                id.round(),
                id.epoch(),
                1,
                samples,
                kind,
                crc,
                true,
                new PayloadRef("/x", 0, 8, 0),
                Map.of());
    }

    private Claim claim(String trainer, RoundId id) {
        return claim("job", trainer, id, 1, UpdateKind.WEIGHTS, 5);
    }

    private RejectReason reason(Claim claim) {
        return ((Verdict.Reject) admission.judge(state, claim)).reason();
    }

    @Test
    void anUpdateOfAMemberForTheOpenRoundCounts() {
        assertThat(admission.judge(state, claim("t", state.id())))
                .isInstanceOf(Verdict.Count.class);
    }

    @Test
    void theSameUpdateOnceMoreIsADuplicateAlsoWhenItsRoundIsClosed() {
        Claim claim = claim("t", state.id());
        TestRounds.count(state, TOPOLOGY, claim, false);
        assertThat(admission.judge(state, claim)).isInstanceOf(Verdict.Duplicate.class);
        Claim other = claim("job", "t", state.id(), 1, UpdateKind.WEIGHTS, 6);
        assertThat(reason(other)).isEqualTo(RejectReason.DIFFERENT_BYTES);
        state.close(true, false, 0);
        assertThat(admission.judge(state, claim)).isInstanceOf(Verdict.Duplicate.class);
        assertThat(reason(claim("u", claim.id()))).isEqualTo(RejectReason.LATE);
    }

    @Test
    void whatIsWrongIsNamed() {
        RoundId now = state.id();
        assertThat(reason(claim("other", "t", now, 1, UpdateKind.WEIGHTS, 5)))
                .isEqualTo(RejectReason.WRONG_JOB);
        assertThat(reason(claim("job", "t", now, 0, UpdateKind.WEIGHTS, 5)))
                .isEqualTo(RejectReason.BAD_SAMPLES);
        assertThat(reason(claim("job", "t", now, MAX_SAMPLES + 1, UpdateKind.WEIGHTS, 5)))
                .isEqualTo(RejectReason.BAD_SAMPLES);
        assertThat(reason(claim("job", "t", now, 1, UpdateKind.DELTA, 5)))
                .isEqualTo(RejectReason.WRONG_KIND);
        assertThat(reason(claim("nobody", now))).isEqualTo(RejectReason.UNKNOWN_TRAINER);
    }

    @Test
    void aRoundThatIsNotOpenIsNotYetOrNoMore() {
        RoundId now = state.id();
        assertThat(reason(claim("t", new RoundId(now.round() + 1, now.epoch()))))
                .isEqualTo(RejectReason.NOT_OPEN);
        assertThat(reason(claim("t", new RoundId(now.round() - 1, now.epoch()))))
                .isEqualTo(RejectReason.LATE);
    }

    /** After a restore, the plan of before is superseded, whatever its nonce. */
    @Test
    void aPlanOfBeforeARestoreIsStale() {
        RoundId before = state.id();
        state.abandon();
        state.ended();
        state.begin(true, 3);
        TestRounds.open(state, TOPOLOGY, 0);
        assertThat(reason(claim("t", before))).isEqualTo(RejectReason.STALE_EPOCH);
        assertThat(reason(claim("t", new RoundId(1, RoundId.epoch(99, 1)))))
                .as("no plan has that epoch yet")
                .isEqualTo(RejectReason.NOT_OPEN);
    }

    @Test
    void onlyWhatATrainerCannotMendBySendingAgainIsFinal() {
        assertThat(Admission.isFinal(RejectReason.NOT_FINITE)).isTrue();
        assertThat(Admission.isFinal(RejectReason.PAYLOAD_LOST)).isFalse();
        assertThat(Admission.isFinal(RejectReason.UNKNOWN_TRAINER)).isFalse();
    }
}
