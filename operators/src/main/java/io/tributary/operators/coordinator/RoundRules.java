// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.operators.rule.RequiredMetric;
import io.tributary.operators.rule.WeightedMean;
import io.tributary.protocol.message.Expected;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.UpdateTensors;
import java.io.Serializable;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * How rounds are run.
 *
 * @param rounds number of rounds, ≥ 1
 * @param quorum how many trainers a round needs
 * @param patience how long it waits for them
 * @param folding what becomes of their updates
 * @param cohort trainers, with their groups, that take part without having to join
 * @param limits what trainers may ask for
 * @param config what trainers are to know, in each plan
 * @param evaluator the id of who may say what models are worth; empty for nobody
 * @param evaluation when trainers say what models are worth
 * @param goal what ends the job before its last round
 */
public record RoundRules(
        int rounds,
        Quorum quorum,
        Patience patience,
        Folding folding,
        Map<String, String> cohort,
        Limits limits,
        Map<String, Object> config,
        String evaluator,
        Evaluation evaluation,
        Goal goal)
        implements Serializable {

    /** With nothing that trainers should know. */
    public RoundRules(
            int rounds,
            Quorum quorum,
            Patience patience,
            Folding folding,
            Map<String, String> cohort,
            Limits limits) {
        this(
                rounds,
                quorum,
                patience,
                folding,
                cohort,
                limits,
                Map.of(),
                "",
                Evaluation.NONE,
                Goal.NONE);
    }

    /** Metrics of evaluations that are kept however many there are: they decide something. */
    Set<String> decisiveInEvaluations() {
        Set<String> names = new TreeSet<>(folding.algorithm().asks());
        names.add(goal.metric());
        names.remove("");
        return names;
    }

    /** The same of updates, by which a job is judged where nobody evaluates models. */
    Set<String> decisiveInUpdates() {
        boolean judged = evaluator.isEmpty() && evaluation.every() == 0;
        return goal.metric().isEmpty() || !judged ? Set.of() : Set.of(goal.metric());
    }

    /**
     * When trainers are asked what a model is worth, before they go on with it.
     *
     * @param every after how many rounds, and before the first; 0 means never
     * @param share of the trainers that is asked, above 0 and at most 1
     * @param deadline time in which the job waits for answers
     */
    public record Evaluation(int every, double share, Duration deadline) implements Serializable {

        /** Nobody is asked. */
        public static final Evaluation NONE = new Evaluation(0, 1, Duration.ofMinutes(1));

        /** All are asked about each model if an algorithm wants that, else nobody. */
        public static Evaluation of(Algorithm algorithm) {
            return !algorithm.asks().isEmpty() ? new Evaluation(1, 1, NONE.deadline()) : NONE;
        }

        public Evaluation {
            require(every >= 0, "rounds between evaluations", every, "0 or more");
            require(share > 0 && share <= 1, "share", share, "above 0 and at most 1");
            require(deadline.toMillis() > 0, "deadline of evaluations", deadline, "more than 0");
        }
    }

    /**
     * What ends a job before its last round; the first that is reached.
     *
     * @param timeLimit time in which the job runs, after which no round opens; zero means none
     * @param metric what is measured; empty where nothing is judged by it
     * @param better which of two values is better
     * @param target the value that is enough; null for none
     * @param noImprovement rounds without a better value that are enough; 0 for none
     */
    public record Goal(
            Duration timeLimit, String metric, Better better, Double target, int noImprovement)
            implements Serializable {

        /** All rounds are wanted. */
        public static final Goal NONE = new Goal(Duration.ZERO, "", Better.HIGHER, null, 0);
    }

    /** Which of two values of a metric is better. */
    public enum Better {
        HIGHER,
        LOWER
    }

    /**
     * How many trainers a round needs.
     *
     * @param trainers that must have joined before a round is opened, ≥ 1
     * @param updates without which a round is not closed, ≥ 1
     */
    public record Quorum(int trainers, int updates) implements Serializable {

        public Quorum {
            require(trainers >= 1, "minimum trainers", trainers, "1 or more");
            require(updates >= 1, "quorum", updates, "1 or more");
        }
    }

    /**
     * How long a round waits for trainers.
     *
     * @param deadline time from the opening in which the job runs, at which a round is closed or,
     *     below the quorum, abandoned; zero means none
     * @param heartbeatTimeout silence after which a trainer counts as gone; zero means never
     * @param linger time after the last round in which trainers are still answered; the job ends
     *     earlier when all have left
     */
    public record Patience(Duration deadline, Duration heartbeatTimeout, Duration linger)
            implements Serializable {

        public Patience {
            require(!deadline.isNegative(), "deadline", deadline, "zero or more");
            require(!linger.isNegative(), "linger", linger, "zero or more");
            require(
                    !heartbeatTimeout.isNegative(),
                    "heartbeat timeout",
                    heartbeatTimeout,
                    "≥ zero");
        }
    }

    /**
     * What becomes of updates.
     *
     * @param timing when they are folded; an algorithm that gathers them works at the close
     *     whatever this says
     * @param kind what they are
     * @param algorithm how they become a model
     * @param locality whether they are folded on the host where they lie
     * @param tensors which of the model's tensors they have
     */
    public record Folding(
            Timing timing,
            UpdateKind kind,
            Algorithm algorithm,
            boolean locality,
            UpdateTensors tensors)
            implements Serializable {

        /** For updates that have all tensors. */
        public Folding(Timing timing, UpdateKind kind, Algorithm algorithm, boolean locality) {
            this(timing, kind, algorithm, locality, UpdateTensors.ALL);
        }

        /** What trainers are told of it. */
        Expected expected() {
            return new Expected(
                    algorithm.optimizer().sets(),
                    algorithm.rule().metrics().stream().map(RequiredMetric::name).toList(),
                    tensors.partial(),
                    tensors.personal());
        }

        private static final String WITH = " with set ";

        public Folding {
            timing = algorithm.gathers() ? Timing.LAZY : timing;
        }

        /** How a round is folded; one that is open cannot go on in another way. */
        String way() {
            List<String> sets = algorithm.optimizer().sets();
            return sets.isEmpty() ? timed() : timed() + WITH + String.join(", ", sets);
        }

        /** The tensor sets of a way. */
        static String sets(String way) {
            int at = way.indexOf(WITH);
            return at < 0 ? "none" : way.substring(at + WITH.length());
        }

        private String timed() {
            if (algorithm.gathers()) {
                return "gathered" + parts();
            }
            String when = timing.name().toLowerCase(Locale.ROOT);
            // What is folded has been weighted. The mean by samples was the first rule.
            boolean weighted =
                    timing == Timing.EAGER
                            ? !algorithm.rule().equals(new WeightedMean())
                            : !algorithm.rule().metrics().isEmpty();
            return (weighted ? when + " by " + named(algorithm.rule()) : when) + parts();
        }

        /** Which tensors the updates that are folded, or wait for the close, have. */
        private String parts() {
            return tensors.equals(UpdateTensors.ALL) ? "" : " of " + tensors;
        }
    }

    /** A rule's name, which is the same in each process; what a record has is a part of it. */
    private static String named(AggregationRule rule) {
        return rule instanceof Record ? rule.toString() : rule.getClass().getName();
    }

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
        cohort = Map.copyOf(cohort);
        config = Map.copyOf(config);
    }

    private static void require(boolean ok, String what, Object found, String allowed) {
        if (!ok) {
            throw new IllegalArgumentException(
                    "%s is %s, expected %s".formatted(what, found, allowed));
        }
    }
}
