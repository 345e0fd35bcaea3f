// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import java.util.List;
import java.util.Map;

/**
 * What a chaos run came to.
 *
 * @param transport how updates travelled
 * @param seconds how long processes were killed
 * @param seed of all that was random
 * @param rounds rounds that ended in a model
 * @param kills how often what was killed
 * @param sent updates that trainers sent
 * @param countedOnce updates in one model, once
 * @param countedTwice updates that were counted more than once
 * @param lost updates whose receipt says that they count, and that no model has
 * @param rejected updates whose receipt says that they do not count
 * @param unanswered updates of trainers that were killed before they had a receipt
 * @param worstError largest error of a model against the float64 mean of its updates, relative to
 *     the mean's largest magnitude
 * @param recoverySeconds for each kill of a task manager, from the kill until the round went on
 * @param beyondFlinkSeconds the part of it after all of Flink's tasks ran again
 * @param recoveriesCutOff kills of a task manager whose recovery the next kill cut off
 * @param faults what was wrong, a line each; empty when all was right
 */
public record ChaosReport(
        String transport,
        double seconds,
        long seed,
        int rounds,
        Map<String, Integer> kills,
        int sent,
        int countedOnce,
        int countedTwice,
        int lost,
        int rejected,
        int unanswered,
        double worstError,
        List<Double> recoverySeconds,
        List<Double> beyondFlinkSeconds,
        int recoveriesCutOff,
        List<String> faults) {

    /** Whether all was right. */
    public boolean right() {
        return faults.isEmpty();
    }
}
