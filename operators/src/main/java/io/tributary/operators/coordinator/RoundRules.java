// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.message.UpdateKind;
import java.io.Serializable;
import java.time.Duration;
import java.util.Map;

/**
 * How rounds are run.
 *
 * @param rounds number of rounds, ≥ 1
 * @param minimumTrainers trainers that must have joined before a round is opened, ≥ 1
 * @param quorum updates without which a round is not closed, ≥ 1
 * @param deadline time from the opening in which the job runs, at which a round is closed or, below
 *     the quorum, abandoned; zero means none
 * @param heartbeatTimeout silence after which a trainer counts as gone; zero means never
 * @param linger time after the last round in which trainers are still answered; the job ends
 *     earlier when all have left
 * @param timing when updates are folded
 * @param kind what updates are
 * @param cohort trainers, with their groups, that take part without having to join
 * @param locality whether updates are folded on the host where they lie
 * @param limits what trainers may ask for
 */
public record RoundRules(
        int rounds,
        int minimumTrainers,
        int quorum,
        Duration deadline,
        Duration heartbeatTimeout,
        Duration linger,
        Timing timing,
        UpdateKind kind,
        Map<String, String> cohort,
        boolean locality,
        Limits limits)
        implements Serializable {

    /**
     * What trainers may ask for.
     *
     * @param maxTrainers trainers that may take part at one time, ≥ 1
     * @param maxSamples the largest weight of an update, ≥ 1
     */
    public record Limits(int maxTrainers, long maxSamples) implements Serializable {

        /** What {@code job.yaml} says where it says nothing. */
        public static final Limits DEFAULT = new Limits(10_000, 1_000_000_000);

        public Limits {
            require(maxTrainers >= 1, "most trainers", maxTrainers, "1 or more");
            require(maxSamples >= 1, "most samples", maxSamples, "1 or more");
        }
    }

    /** When updates are folded; the result is the same. */
    public enum Timing {
        /** At arrival: the accumulators of all shards are live, updates are not. */
        EAGER,
        /** At the close, shard after shard: updates stay where they lie, few accumulators live. */
        LAZY
    }

    public RoundRules {
        require(rounds >= 1, "rounds", rounds, "1 or more");
        require(minimumTrainers >= 1, "minimum trainers", minimumTrainers, "1 or more");
        require(quorum >= 1, "quorum", quorum, "1 or more");
        require(!deadline.isNegative(), "deadline", deadline, "zero or more");
        require(!linger.isNegative(), "linger", linger, "zero or more");
        require(!heartbeatTimeout.isNegative(), "heartbeat timeout", heartbeatTimeout, "≥ zero");
        cohort = Map.copyOf(cohort);
    }

    private static void require(boolean ok, String what, Object found, String allowed) {
        if (!ok) {
            throw new IllegalArgumentException(
                    "%s is %s, expected %s".formatted(what, found, allowed));
        }
    }
}
