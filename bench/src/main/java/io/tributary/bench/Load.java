// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.config.JobOptions;
import io.tributary.job.graph.Publish;
import io.tributary.node.PayloadStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.sources.base.staging.Staging;
import java.nio.file.Path;
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
 * @param backend where keyed state is
 * @param algorithm how updates become a model
 */
record Load(
        int params,
        int trainers,
        int levels,
        int warmUp,
        int rounds,
        Duration checkpoints,
        Arrivals arrivals,
        Publish publish,
        Backend backend,
        Algorithm algorithm) {

    private static final long SMALLEST_ROOM = 2L << 30;

    /** How the updates of a round come. */
    enum Arrivals {
        /** All at once; trainers have written them before the time begins. */
        WRITTEN_BEFORE,
        /** All at once; trainers write them in the time. */
        WRITTEN_IN_TIME,
        /** Written before, and sent one after the other at the same distances, over 2 s. */
        SPREAD
    }

    /** As a job runs by default, with all updates written before. */
    Load(int params, int trainers, int levels, int warmUp, int rounds, Backend backend) {
        this(
                params,
                trainers,
                levels,
                warmUp,
                rounds,
                JobOptions.CHECKPOINT_INTERVAL.defaultValue(),
                Arrivals.WRITTEN_BEFORE,
                Publish.COMMITTED,
                backend,
                Algorithm.FEDAVG);
    }

    /** The same updates in the same tree, run otherwise. */
    Load run(
            int itsWarmUp,
            int itsRounds,
            Duration itsCheckpoints,
            Arrivals itsArrivals,
            Publish itsPublish) {
        return new Load(
                params,
                trainers,
                levels,
                itsWarmUp,
                itsRounds,
                itsCheckpoints,
                itsArrivals,
                itsPublish,
                backend,
                algorithm);
    }

    /** The same by another algorithm. */
    Load by(Algorithm other) {
        return new Load(
                params,
                trainers,
                levels,
                warmUp,
                rounds,
                checkpoints,
                arrivals,
                publish,
                backend,
                other);
    }

    double gigabytes() {
        return 4.0 * params * trainers / 1e9;
    }

    /**
     * Where a broker's updates are staged, with room for two rounds of them. Small rounds get more:
     * many of them are over before a checkpoint gives their room back, and nobody here sends again.
     */
    Staging staging(Path regions) {
        return new Staging(
                new PayloadStore.Place(regions.toString()),
                Math.max(2L * trainers * (4L * params + 65_536), SMALLEST_ROOM),
                Duration.ofMinutes(5),
                Duration.ofHours(1));
    }
}
