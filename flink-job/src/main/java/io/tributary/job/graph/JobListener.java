// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;

/** Hears what a job says of its rounds. Called by one thread. */
public interface JobListener {

    /** A round has changed. */
    void status(RoundStatus status);

    /** A model is there. */
    void model(ModelDescription model);
}
