// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.operators.model.ModelStore;
import io.tributary.protocol.topology.Topology;

/**
 * A model that a job makes, with rounds, trainers and a directory of its own.
 *
 * @param tag its group of the root's channel, with dots for slashes; empty where it is the only one
 * @param job the name by which trainers know it
 * @param topology who aggregates for whom
 * @param models where it is written, a directory or a URI
 */
public record JobModel(String tag, String job, Topology topology, String models) {

    /** Where its versions are. */
    public ModelStore store() {
        return ModelStore.at(models);
    }
}
