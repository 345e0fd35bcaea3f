// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import io.tributary.protocol.Json;
import io.tributary.protocol.WireMessage;

/**
 * A trainer's word about itself.
 *
 * @param type what it says
 * @param job the job it speaks to
 * @param trainer its id, unique in the job
 * @param instance drawn by each client object at random, so that two clients that use one id are
 *     told apart
 * @param group the tag under which the topology places it
 */
public record ControlMessage(Type type, String job, String trainer, String instance, String group)
        implements WireMessage {

    /** What a control message says. */
    public enum Type {
        /** I take part from now on. */
        JOIN,
        /** I am alive; counts as JOIN where the job does not know the trainer. */
        HEARTBEAT,
        /** I take no more part; also sent by the broker as last will. */
        LEAVE
    }

    public ControlMessage {
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
