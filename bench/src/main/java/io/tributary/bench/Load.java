// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.Publish;
import java.time.Duration;

/**
 * What {@link LiveRounds} run.
 *
 * @param params float32 parameters of an update
 * @param trainers updates in a round
 * @param levels tiers of the tree, trainers included
 * @param warmUp rounds before the measured ones: classes are loaded and compiled, regions touched
 * @param rounds measured rounds
 * @param checkpoints time between checkpoints
 * @param arrivals how updates come
 * @param publish when models leave
 */
record Load(
        int params,
        int trainers,
        int levels,
        int warmUp,
        int rounds,
        Duration checkpoints,
        Arrivals arrivals,
        Publish publish) {

    /** How the updates of a round come. */
    enum Arrivals {
        /** All at once; trainers have written them before the time begins. */
        WRITTEN_BEFORE,
        /** All at once; trainers write them in the time. */
        WRITTEN_IN_TIME,
        /** Written before, and sent one after the other at the same distances, over 2 s. */
        SPREAD
    }

    /** All updates are written before, and models leave when a checkpoint has them. */
    Load(int params, int trainers, int levels, int warmUp, int rounds, Duration checkpoints) {
        this(
                params,
                trainers,
                levels,
                warmUp,
                rounds,
                checkpoints,
                Arrivals.WRITTEN_BEFORE,
                Publish.COMMITTED);
    }

    double gigabytes() {
        return 4.0 * params * trainers / 1e9;
    }
}
