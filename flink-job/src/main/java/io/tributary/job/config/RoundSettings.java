// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Config;
import io.tributary.protocol.message.Metrics;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.tensor.UpdateTensors;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.util.TimeUtils;

/** Reads how rounds are run. */
final class RoundSettings {

    /** Nanoseconds of it fit into 64 bits. */
    private static final Duration LONGEST = Duration.ofDays(36_500);

    private RoundSettings() {}

    /** More than may take part would be waited for in vain. */
    private static void requirePossible(JobYaml yaml) {
        int most = yaml.get(JobOptions.MAX_TRAINERS);
        for (ConfigOption<Integer> wanted :
                List.of(JobOptions.MINIMUM_TRAINERS, JobOptions.QUORUM)) {
            if (yaml.get(wanted) > most) {
                throw yaml.wrong(
                        wanted,
                        "expected at most %d, as many as %s lets take part"
                                .formatted(most, JobOptions.MAX_TRAINERS.key()));
            }
        }
    }

    static RoundRules read(JobYaml yaml, Algorithm algorithm, UpdateTensors tensors) {
        requirePossible(yaml);
        return new RoundRules(
                yaml.positive(JobOptions.ROUNDS),
                new RoundRules.Quorum(
                        yaml.positive(JobOptions.MINIMUM_TRAINERS),
                        yaml.positive(JobOptions.QUORUM)),
                new RoundRules.Patience(
                        yaml.time(JobOptions.DEADLINE),
                        yaml.time(JobOptions.HEARTBEAT_TIMEOUT),
                        yaml.time(JobOptions.LINGER)),
                new RoundRules.Folding(
                        yaml.get(JobOptions.TIMING),
                        yaml.get(JobOptions.UPDATES),
                        algorithm,
                        yaml.get(JobOptions.LOCALITY),
                        tensors),
                Map.of(),
                new RoundRules.Limits(
                        yaml.positive(JobOptions.MAX_TRAINERS),
                        yaml.positive(JobOptions.MAX_SAMPLES)),
                config(yaml, algorithm),
                evaluator(yaml),
                evaluation(yaml, algorithm),
                goal(yaml));
    }

    private static RoundRules.Goal goal(JobYaml yaml) {
        Optional<String> metric = yaml.find(JobOptions.METRIC);
        Optional<Double> target = yaml.find(JobOptions.TARGET);
        Optional<Integer> noImprovement = yaml.find(JobOptions.NO_IMPROVEMENT);
        List<ConfigOption<?>> about = new ArrayList<>();
        target.ifPresent(any -> about.add(JobOptions.TARGET));
        noImprovement.ifPresent(any -> about.add(JobOptions.NO_IMPROVEMENT));
        if (metric.isPresent() && about.isEmpty()) {
            throw yaml.wrong(
                    JobOptions.METRIC,
                    "expected %s or %s with it"
                            .formatted(JobOptions.TARGET.key(), JobOptions.NO_IMPROVEMENT.key()));
        }
        if (yaml.get(JobOptions.BETTER) != RoundRules.Better.HIGHER) {
            about.add(JobOptions.BETTER);
        }
        if (metric.isEmpty() && !about.isEmpty()) {
            throw yaml.wrong(
                    about.get(0),
                    "but %s is missing, which says what is judged"
                            .formatted(JobOptions.METRIC.key()));
        }
        if (metric.filter(name -> name.isEmpty() || Metrics.kept(Map.of(name, 1.0)).isEmpty())
                .isPresent()) {
            throw yaml.wrong(
                    JobOptions.METRIC, "expected a name of 1 to 64 characters, as metrics have");
        }
        noImprovement.ifPresent(any -> yaml.positive(JobOptions.NO_IMPROVEMENT));
        if (target.filter(value -> !Double.isFinite(value)).isPresent()) {
            throw yaml.wrong(JobOptions.TARGET, "expected a finite number");
        }
        if (yaml.get(JobOptions.TIME_LIMIT).compareTo(LONGEST) > 0) {
            throw yaml.wrong(JobOptions.TIME_LIMIT, "expected at most 36500 days");
        }
        return new RoundRules.Goal(
                yaml.time(JobOptions.TIME_LIMIT),
                metric.orElse(""),
                yaml.get(JobOptions.BETTER),
                target.orElse(null),
                noImprovement.orElse(0));
    }

    private static RoundRules.Evaluation evaluation(JobYaml yaml, Algorithm algorithm) {
        int said = yaml.get(JobOptions.EVALUATE_EVERY);
        boolean asks = !algorithm.asks().isEmpty();
        int every = said == 0 && asks ? 1 : said;
        double share = yaml.get(JobOptions.EVALUATE_SHARE);
        Duration deadline = yaml.time(JobOptions.EVALUATE_DEADLINE);
        if (every < 0) {
            throw yaml.wrong(JobOptions.EVALUATE_EVERY, "expected 0 or more");
        }
        if (asks && (every != 1 || share != 1)) {
            throw yaml.wrong(
                    every != 1 ? JobOptions.EVALUATE_EVERY : JobOptions.EVALUATE_SHARE,
                    "expected 1, or nothing: the algorithm asks all trainers about each model");
        }
        if (asks && yaml.find(JobOptions.EVALUATOR).isPresent()) {
            throw yaml.wrong(
                    JobOptions.EVALUATOR,
                    "but the algorithm asks the trainers about each model; leave it out");
        }
        if (every > 0 && yaml.find(JobOptions.EVALUATOR).isPresent()) {
            throw yaml.wrong(
                    JobOptions.EVALUATE_EVERY,
                    "but %s is there too; keep one of them, since each says what models are worth"
                            .formatted(JobOptions.EVALUATOR.key()));
        }
        if (!(share > 0 && share <= 1)) {
            throw yaml.wrong(JobOptions.EVALUATE_SHARE, "expected above 0 and at most 1");
        }
        Duration interval = yaml.get(JobOptions.CHECKPOINT_INTERVAL);
        if (deadline.toMillis() == 0
                || every > 0 && deadline.compareTo(interval.multipliedBy(2)) < 0) {
            throw yaml.wrong(
                    JobOptions.EVALUATE_DEADLINE,
                    "expected at least twice checkpoints.interval, %s: the question and the model leave with a checkpoint"
                            .formatted(TimeUtils.formatWithHighestUnit(interval)));
        }
        for (ConfigOption<?> option :
                List.of(JobOptions.EVALUATE_SHARE, JobOptions.EVALUATE_DEADLINE)) {
            if (every == 0 && yaml.gives(option)) {
                throw yaml.wrong(
                        option,
                        "but trainers are not asked; set %s too"
                                .formatted(JobOptions.EVALUATE_EVERY.key()));
            }
        }
        return new RoundRules.Evaluation(every, share, deadline);
    }

    private static String evaluator(JobYaml yaml) {
        Optional<String> id = yaml.find(JobOptions.EVALUATOR);
        try {
            return id.map(name -> Names.check("trainer", name)).orElse("");
        } catch (RejectedException e) {
            throw yaml.wrong(JobOptions.EVALUATOR, e.getMessage());
        }
    }

    private static Map<String, Object> config(JobYaml yaml, Algorithm algorithm) {
        try {
            return Config.ofTexts(yaml.get(JobOptions.CONFIG), algorithm.config());
        } catch (IllegalArgumentException e) {
            throw yaml.wrongMap(JobOptions.CONFIG, e.getMessage());
        }
    }
}
