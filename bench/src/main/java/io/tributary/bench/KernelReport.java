// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

/**
 * What {@code bench --path kernel} found, in GB/s of updates read by one thread.
 *
 * @param path kernel
 * @param kernel what folds here
 * @param params float32 parameters of an update
 * @param updates updates in memory, read one after the other
 * @param axpyGbPerSecond a float32 axpy in C, a whole update in one call: the limit
 * @param scanGbPerSecond looking for values that are not finite, and nothing else
 * @param foldOneGbPerSecond the fold of updates that come one at a time, with the check
 * @param foldOneRatio that against axpy
 * @param foldFourGbPerSecond the fold of four that wait together
 * @param foldFourRatio that against axpy
 * @param foldEightGbPerSecond the fold of eight
 * @param foldEightRatio that against axpy
 * @param foldEightInJavaGbPerSecond the same in Java, as where there is no compiler
 * @param foldEightInJavaRatio that against axpy
 */
record KernelReport(
        String path,
        String kernel,
        int params,
        int updates,
        double axpyGbPerSecond,
        double scanGbPerSecond,
        double foldOneGbPerSecond,
        double foldOneRatio,
        double foldFourGbPerSecond,
        double foldFourRatio,
        double foldEightGbPerSecond,
        double foldEightRatio,
        double foldEightInJavaGbPerSecond,
        double foldEightInJavaRatio) {}
