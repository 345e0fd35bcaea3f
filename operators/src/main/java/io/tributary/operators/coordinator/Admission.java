// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.operators.rule.RequiredMetric;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Decides whether an update counts. Pure. */
@Policy
final class Admission {

    private final String job;
    private final UpdateKind kind;
    private final AggregationRule rule;
    private final long maxSamples;

    Admission(String job, RoundRules rules) {
        this.job = job;
        this.kind = rules.folding().kind();
        this.rule = rules.folding().algorithm().rule();
        this.maxSamples = rules.limits().maxSamples();
    }

    /** What becomes of an update. */
    sealed interface Verdict {

        /** It counts. */
        record Count() implements Verdict {}

        /** It has been counted before. */
        record Duplicate() implements Verdict {}

        /**
         * It does not count.
         *
         * @param reason why, for machines
         * @param text why, for people
         */
        record Reject(RejectReason reason, String text) implements Verdict {

            /** The same for an update, which the text then names. */
            static Reject of(RejectReason reason, Claim claim, String why) {
                return new Reject(
                        reason,
                        "update from trainer %s for round %s: %s"
                                .formatted(claim.trainer(), claim.id(), why));
            }

            /** An update that counted cannot be read any more. */
            static Reject lost(RejectReason reason, Claim claim) {
                return of(
                        reason,
                        claim,
                        reason == RejectReason.NODE_LOST
                                ? "node lost: %s; send it again".formatted(claim.payload().node())
                                : "its region %s is gone; send it again"
                                        .formatted(claim.payload().path()));
            }
        }
    }

    /**
     * Nobody speaks for a trainer over another transport than its own, which may know its clients
     * better.
     */
    Optional<Verdict> foreign(CoordinatorState state, Claim claim, String transport) {
        return state.trainers.speaksOver(claim.trainer(), transport)
                ? Optional.empty()
                : Optional.of(
                        Verdict.Reject.of(
                                RejectReason.UNKNOWN_TRAINER,
                                claim,
                                "the trainer has joined over another transport than %s; join over this one"
                                        .formatted(transport)));
    }

    Verdict judge(CoordinatorState state, Claim claim) {
        if (!claim.job().equals(job)) {
            return Verdict.Reject.of(
                    RejectReason.WRONG_JOB,
                    claim,
                    "it is for job '%s', this is '%s'".formatted(claim.job(), job));
        }
        OptionalInt first = crcOfFirst(state, claim.id(), claim.trainer());
        if (first.isPresent()) {
            return first.getAsInt() == claim.crc32c()
                    ? new Verdict.Duplicate()
                    : Verdict.Reject.of(
                            RejectReason.DIFFERENT_BYTES,
                            claim,
                            "it has CRC32C %08x, the one that counts has %08x"
                                    .formatted(claim.crc32c(), first.getAsInt()));
        }
        if (claim.samples() <= 0 || claim.samples() > maxSamples) {
            return Verdict.Reject.of(
                    RejectReason.BAD_SAMPLES,
                    claim,
                    "it has %d samples, expected 1 to %d (rounds.max-samples)"
                            .formatted(claim.samples(), maxSamples));
        }
        if (claim.kind() != kind) {
            return Verdict.Reject.of(
                    RejectReason.WRONG_KIND,
                    claim,
                    "it is %s, the job asks for %s".formatted(claim.kind(), kind));
        }
        if (state.trainers.member(claim.trainer()).isEmpty()) {
            return Verdict.Reject.of(
                    RejectReason.UNKNOWN_TRAINER, claim, "the trainer has not joined; join first");
        }
        Verdict verdict = timely(state, claim);
        // Last, since nothing is wrong with one that is only late.
        Optional<String> metric =
                verdict instanceof Verdict.Count ? badMetric(claim) : Optional.empty();
        return metric.<Verdict>map(why -> Verdict.Reject.of(RejectReason.BAD_METRIC, claim, why))
                .orElse(verdict);
    }

    /** Why the rule cannot compute with a claim. */
    private Optional<String> badMetric(Claim claim) {
        for (RequiredMetric metric : rule.metrics()) {
            Double value = claim.metrics().get(metric.name());
            if (value == null || !metric.allows(value)) {
                return Optional.of(
                        "metric '%s' is %s, expected %s: the job's algorithm computes with it"
                                .formatted(
                                        metric.name(),
                                        value == null ? "missing" : value,
                                        metric.expected()));
            }
        }
        if (rule instanceof AggregationRule.Streaming mean) {
            double weight = mean.weight(claim);
            Map<String, Double> totals = mean.totals(claim);
            if (!(weight > 0)
                    || !Stream.concat(Stream.of(weight), totals.values().stream())
                            .allMatch(Double::isFinite)) {
                return Optional.of(
                        "its weight would be %s and its totals %s, expected finite numbers, of which the weight is more than 0"
                                .formatted(weight, new TreeMap<>(totals)));
            }
        }
        return Optional.empty();
    }

    private static OptionalInt crcOfFirst(CoordinatorState state, RoundId id, String trainer) {
        OptionalInt opening = state.opening(id);
        Optional<TrainerEntry> entry = state.trainers.get(trainer);
        return opening.isPresent() && entry.isPresent()
                ? entry.get().crcIn(opening.getAsInt())
                : OptionalInt.empty();
    }

    private static Verdict timely(CoordinatorState state, Claim claim) {
        if (state.phase == Phase.OPEN && claim.id().equals(state.id())) {
            return new Verdict.Count();
        }
        if (claim.round() < state.round || state.over() || state.opening(claim.id()).isPresent()) {
            return Verdict.Reject.of(
                    RejectReason.LATE,
                    claim,
                    state.over()
                            ? "all rounds are over"
                            : "that round is over, now is round " + state.round);
        }
        boolean superseded =
                claim.round() == state.round && state.phase == Phase.OPEN
                        ? before(claim.epoch(), state.roundEpoch)
                        : before(claim.epoch(), state.epoch);
        return superseded
                ? Verdict.Reject.of(
                        RejectReason.STALE_EPOCH,
                        claim,
                        "its plan was superseded when the round was opened again or the job"
                                + " restored; follow the newest plan")
                : Verdict.Reject.of(
                        RejectReason.NOT_OPEN,
                        claim,
                        "that round is not open, now is round " + state.round);
    }

    /** Whether an epoch is of an earlier opening, or of a history that a restore has undone. */
    private static boolean before(long epoch, long now) {
        return epoch != now && RoundId.count(epoch) <= RoundId.count(now);
    }

    /**
     * Whether the round need not wait for an update that was rejected for this reason: its trainer
     * is told, and sends it again only if somebody mends it.
     */
    static boolean isFinal(RejectReason reason) {
        return switch (reason) {
            case MALFORMED,
                    UNSUPPORTED,
                    WRONG_SHAPE,
                    NOT_FINITE,
                    BAD_SAMPLES,
                    BAD_METRIC,
                    TOO_LARGE,
                    CHECKSUM,
                    WRONG_KIND ->
                    true;
            default -> false;
        };
    }
}
