// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

/**
 * What {@code bench --path shm} found, medians over the rounds measured.
 *
 * @param path shm
 * @param params float32 parameters of an update
 * @param updates updates folded in the rounds measured
 * @param trainers updates in a round
 * @param levels tiers of the tree, trainers included
 * @param gbPerSecond GB of updates a second, from when all trainers have written theirs until the
 *     top has the sum; the checksums are computed and checked in that time
 * @param axpyGbPerSecond the limit: axpy on updates in regions, on as many threads as the job has
 * @param ratio gbPerSecond against that
 * @param cpuSecondsPerGb of the whole process in that time, trainers included
 * @param bpf whether descriptors stayed in the kernel
 * @param descriptorMicrosP50 one way of a descriptor, as above
 * @param descriptorMicrosP99 the same
 * @param relayMicrosP50 the same through the agent
 * @param relayMicrosP99 the same
 * @param descriptorRatio descriptorMicrosP50 against relayMicrosP50
 * @param lastUpdateToModelMs from the arrival of the last update at the coordinator to the model's
 *     file
 * @param anonymousMb most memory of this process besides regions, trainers included
 */
record ShmReport(
        String path,
        int params,
        int updates,
        int trainers,
        int levels,
        double gbPerSecond,
        double axpyGbPerSecond,
        double ratio,
        double cpuSecondsPerGb,
        boolean bpf,
        double descriptorMicrosP50,
        double descriptorMicrosP99,
        double relayMicrosP50,
        double relayMicrosP99,
        double descriptorRatio,
        double lastUpdateToModelMs,
        double anonymousMb) {}
