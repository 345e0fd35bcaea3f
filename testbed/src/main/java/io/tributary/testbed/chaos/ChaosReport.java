// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import java.util.List;
import java.util.Map;

/**
 * What a chaos run came to; one flat object in JSON.
 *
 * @param course what was done
 * @param updates what became of updates
 * @param worstError largest error of a model against the float64 mean of its updates, relative to
 *     the mean's largest magnitude
 * @param recoveries how long recoveries took
 * @param faults what was wrong, a line each; empty when all was right
 */
public record ChaosReport(
        @JsonUnwrapped Course course,
        @JsonUnwrapped Updates updates,
        double worstError,
        @JsonUnwrapped Recoveries recoveries,
        List<String> faults) {

    /**
     * What was done.
     *
     * @param transport how updates travelled
     * @param seconds how long processes were killed
     * @param seed of all that was random
     * @param rounds rounds that ended in a model
     * @param kills how often what was killed
     */
    public record Course(
            String transport, double seconds, long seed, int rounds, Map<String, Integer> kills) {}

    /**
     * What became of updates.
     *
     * @param sent by trainers
     * @param countedOnce in one model, once
     * @param countedTwice counted more than once
     * @param lost their receipt says that they count, and no model has them
     * @param rejected their receipt says that they do not count
     * @param unanswered their trainer was killed before it had a receipt
     */
    public record Updates(
            int sent, int countedOnce, int countedTwice, int lost, int rejected, int unanswered) {}

    /**
     * How long recoveries took.
     *
     * @param recoverySeconds for each kill of a task manager, from the kill until the round went on
     * @param beyondFlinkSeconds the part of it after all of Flink's tasks ran again
     * @param recoveriesCutOff kills of a task manager whose recovery the next kill cut off
     */
    public record Recoveries(
            List<Double> recoverySeconds, List<Double> beyondFlinkSeconds, int recoveriesCutOff) {}

    /** Whether all was right. */
    public boolean right() {
        return faults.isEmpty();
    }
}
