// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.WireMessage;
import java.util.List;
import java.util.Map;

/**
 * What trainers are asked to do now.
 *
 * @param job the job
 * @param state whether to train
 * @param round the round to train for
 * @param epoch its epoch
 * @param modelRound round that produced the model to start from; 0 is the initial model
 * @param modelEpoch that round's epoch
 * @param kind what to send
 * @param deadlineSeconds time from the opening to the deadline, in s; 0 means none
 * @param restores how often the job has been restored; what was sent before the last time, and is
 *     unanswered, may be lost
 * @param run the submission of the job that says so
 * @param config what the job's user wants trainers to know, such as a learning rate: numbers, texts
 *     and booleans by name
 * @param expects what updates have besides the model's tensors
 * @param asked who is to say what the model is worth; null unless EVALUATING
 * @param measured means of what trainers have found out about the model; empty where they were not
 *     asked
 * @param end proves that the run has ended ({@link Run#end}); empty unless ENDED
 */
public record RoundPlan(
        String job,
        State state,
        int round,
        long epoch,
        int modelRound,
        long modelEpoch,
        UpdateKind kind,
        double deadlineSeconds,
        int restores,
        String run,
        String end,
        Map<String, Object> config,
        Expected expects,
        @JsonInclude(JsonInclude.Include.NON_NULL) TrainerShare asked,
        @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, Double> measured)
        implements WireMessage {

    /** What each version says. */
    private record Required(
            String job,
            State state,
            int round,
            long epoch,
            int modelRound,
            long modelEpoch,
            UpdateKind kind,
            double deadlineSeconds,
            int restores,
            String run,
            String end) {}

    /** One of an earlier version, which a broker may keep, has no config and expects nothing. */
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static RoundPlan read(JsonNode json) {
        Required said = Json.convert(json, Required.class);
        return new RoundPlan(
                said.job(),
                said.state(),
                said.round(),
                said.epoch(),
                said.modelRound(),
                said.modelEpoch(),
                said.kind(),
                said.deadlineSeconds(),
                said.restores(),
                said.run(),
                said.end(),
                Config.of(json.path("config")),
                Expected.of(json.path("expects")),
                TrainerShare.of(json.path("asked")),
                Metrics.of(json.path("measured")));
    }

    /** With nothing that trainers should know. */
    public RoundPlan(
            String job,
            State state,
            int round,
            long epoch,
            int modelRound,
            long modelEpoch,
            UpdateKind kind,
            double deadlineSeconds,
            int restores,
            String run,
            String end) {
        this(
                job,
                state,
                round,
                epoch,
                modelRound,
                modelEpoch,
                kind,
                deadlineSeconds,
                restores,
                run,
                end,
                Map.of(),
                Expected.NOTHING,
                null,
                Map.of());
    }

    public RoundPlan {
        config = Config.checked(config);
        if ((state == State.EVALUATING) != (asked != null)) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "round plan: state %s, and 'asked' is %s".formatted(state, asked));
        }
        measured = Map.copyOf(measured);
    }

    /** Names that a reader must understand. */
    @JsonProperty(MUST_FIELD)
    @JsonInclude(JsonInclude.Include.NON_EMPTY)
    List<String> must() {
        return state == State.EVALUATING ? List.of("asked") : expects.must();
    }

    /** Whether the round takes updates. */
    public enum State {
        OPEN,
        /** Trainers that are asked say what the model is worth; the round opens after that. */
        EVALUATING,
        /** All rounds are done; the model named is the last. Updates are still answered. */
        FINISHED,
        /** The job itself ends; nobody is answered any more. */
        ENDED
    }

    /** The opening that this plan announces. */
    public RoundId id() {
        return new RoundId(round, epoch);
    }

    /** The version of the model to start from. */
    public RoundId model() {
        return new RoundId(modelRound, modelEpoch);
    }
}
