// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.protocol.WireMessage;
import io.tributary.protocol.message.Names;

/**
 * What a colocated trainer says of itself, in its file.
 *
 * @param trainer its id, unique in the job
 * @param instance drawn by each client object at random
 * @param group the tag under which the topology places it
 * @param owner its process; when that ends, the trainer has left
 */
public record TrainerPresence(String trainer, String instance, String group, Owner owner)
        implements WireMessage {

    public TrainerPresence {
        Names.check("trainer", trainer);
        Names.check("instance", instance);
        Names.checkGroup(group);
    }
}
