// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.Evaluation;

/**
 * Who a trainer is.
 *
 * @param job the job's name
 * @param trainer its id, unique in the job
 * @param instance drawn by each client object at random
 * @param group the tag under which the topology places it
 */
record Identity(String job, String trainer, String instance, String group) {

    /** What it says of itself, as a message. */
    ControlMessage says(ControlMessage.Type type) {
        return new ControlMessage(type, job, trainer, instance, group);
    }

    /** What it has found out about a model, as a message. */
    ControlMessage says(Evaluation evaluation) {
        return new ControlMessage(
                ControlMessage.Type.EVALUATION, job, trainer, instance, group, evaluation);
    }
}
