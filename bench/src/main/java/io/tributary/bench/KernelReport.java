// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

/**
 * What {@code bench --path kernel} found, in GB/s of updates read by one thread.
 *
 * @param path kernel
 * @param params float32 parameters of an update
 * @param updates updates in memory, read one after the other
 * @param axpyGbPerSecond ND4J's axpy, a whole update in one call: the limit
 * @param copyGbPerSecond a memory copy
 * @param foldOneGbPerSecond the fold of updates that come one at a time
 * @param foldOneRatio that against axpy
 * @param foldFourGbPerSecond the fold of four that wait together
 * @param foldFourRatio that against axpy
 * @param foldAllGbPerSecond the fold of all that wait together
 * @param foldAllRatio that against axpy
 */
record KernelReport(
        String path,
        int params,
        int updates,
        double axpyGbPerSecond,
        double copyGbPerSecond,
        double foldOneGbPerSecond,
        double foldOneRatio,
        double foldFourGbPerSecond,
        double foldFourRatio,
        double foldAllGbPerSecond,
        double foldAllRatio) {}
