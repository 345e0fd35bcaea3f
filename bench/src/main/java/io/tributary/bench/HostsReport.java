// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.chaos.ChaosReport;
import java.util.List;

/**
 * What several hosts reach: one region read from another host, rounds that are folded where the
 * updates lie and, for comparison, anywhere, and rounds while links are cut.
 *
 * @param reading a region of another host, beside iperf3; 0.7 is wanted
 * @param hosts number of hosts, with one leaf each
 * @param link rate of their links
 * @param params float32 parameters of an update
 * @param trainers updates in a round
 * @param partialSumBytes one partial sum
 * @param local with locality
 * @param anywhere without
 * @param crossing bytes of updates and partial sums that cross with locality, in partial sums of
 *     remote leaves; at most 1.2 is wanted
 * @param speedup seconds of a round without locality by those with; 3 is wanted
 * @param cuts a job while links are cut; its faults name each cut after which no round ended
 */
record HostsReport(
        PathReport reading,
        int hosts,
        String link,
        int params,
        int trainers,
        long partialSumBytes,
        Rounds local,
        Rounds anywhere,
        double crossing,
        double speedup,
        ChaosReport cuts) {

    /**
     * A job's rounds, medians.
     *
     * @param seconds from all trainers' updates being written until the model is whole
     * @param readBytes of updates and partial sums that were read on another host
     * @param links what passed over each link
     */
    record Rounds(double seconds, long readBytes, List<Link> links) {}

    /**
     * A host's link, bytes in a round: updates, partial sums, shards of models, and all that Flink
     * and the nodes say to each other.
     */
    record Link(int host, long sentBytes, long receivedBytes) {}
}
