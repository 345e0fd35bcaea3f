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

/**
 * A trainer's word about itself, or the evaluator's about a model.
 *
 * @param type what it says
 * @param job the job it speaks to
 * @param trainer its id, unique in the job
 * @param instance drawn by each client object at random, so that two clients that use one id are
 *     told apart
 * @param group the tag under which the topology places it
 * @param evaluation what the evaluator has found out; null unless it says so
 */
public record ControlMessage(
        Type type,
        String job,
        String trainer,
        String instance,
        String group,
        @JsonProperty("evaluation") @JsonInclude(JsonInclude.Include.NON_NULL)
                Evaluation evaluation)
        implements WireMessage {

    /** What a control message says. */
    public enum Type {
        /** I take part from now on. */
        JOIN,
        /** I am alive; counts as JOIN where the job does not know the trainer. */
        HEARTBEAT,
        /** I take no more part; also sent by the broker as last will. */
        LEAVE,
        /** This is what I have found out about a model; from the evaluator, or who is asked. */
        EVALUATION
    }

    /** What each message says. */
    private record Required(Type type, String job, String trainer, String instance, String group) {}

    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static ControlMessage read(JsonNode json) {
        Required said = Json.convert(json, Required.class);
        return new ControlMessage(
                said.type(),
                said.job(),
                said.trainer(),
                said.instance(),
                said.group(),
                Evaluation.in(json));
    }

    /** A trainer's word. */
    public ControlMessage(Type type, String job, String trainer, String instance, String group) {
        this(type, job, trainer, instance, group, null);
    }

    public ControlMessage {
        if (type == Type.EVALUATION && evaluation == null) {
            throw new RejectedException(
                    RejectReason.MALFORMED, "a message EVALUATION has no 'evaluation'");
        }
        Names.check("job", job);
        Names.check("trainer", trainer);
        Names.check("instance", instance);
        Names.checkGroup(group);
    }

    /** Reads and checks a message. */
    public static ControlMessage decode(byte[] json) {
        return Json.decode(json, ControlMessage.class);
    }
}
