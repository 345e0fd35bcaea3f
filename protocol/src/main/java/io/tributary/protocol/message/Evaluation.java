// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * What somebody has found out about a model: the job's evaluator, a trainer that was asked, or all
 * of those trainers together.
 *
 * @param run the submission of the job that made the model
 * @param round the round that made it; 0 for the initial model
 * @param epoch its epoch
 * @param metrics what was measured, for example {@code accuracy}
 * @param samples on how many samples a trainer has, ≥ 1; 0 where that is not said
 * @param stop why no more rounds are needed; empty where they are
 */
public record Evaluation(
        String run,
        int round,
        long epoch,
        Map<String, Double> metrics,
        @JsonInclude(JsonInclude.Include.NON_DEFAULT) long samples,
        String stop) {

    private static final int MAX_STOP_BYTES = 600;

    /** What cannot be left out. */
    private record Required(String run, int round, long epoch, String stop) {}

    /** Of metrics, what cannot be used is left out, as those of trainers. */
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static Evaluation read(JsonNode json) {
        Required said = Json.convert(json, Required.class);
        return new Evaluation(
                said.run(),
                said.round(),
                said.epoch(),
                Metrics.of(json.path("metrics")),
                json.path("samples").asLong(),
                said.stop());
    }

    /** The one in a message; null where it has none. */
    static Evaluation in(JsonNode message) {
        JsonNode evaluation = message.path("evaluation");
        return evaluation.isObject() ? Json.convert(evaluation, Evaluation.class) : null;
    }

    /** One that does not say on how many samples. */
    public Evaluation(String run, int round, long epoch, Map<String, Double> metrics, String stop) {
        this(run, round, epoch, metrics, 0, stop);
    }

    public Evaluation {
        Names.check("run", run);
        if (stop.getBytes(StandardCharsets.UTF_8).length > MAX_STOP_BYTES) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "evaluation: 'stop' has more than %d bytes".formatted(MAX_STOP_BYTES));
        }
        metrics = Metrics.kept(metrics);
    }

    /** The model's version. */
    public RoundId model() {
        return new RoundId(round, epoch);
    }
}
