// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.transport;

import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.node.PayloadStore;
import io.tributary.sources.base.staging.Staging;
import java.time.Duration;

/** A transport whose broker, or node agent, is started for a demo and ends with it. */
public interface ManagedTransport extends AutoCloseable {

    /**
     * Where a broker's updates are staged: as long as trainers need to begin a resend, and longer.
     */
    static Staging staging(WorkDirectory work, long quotaBytes) {
        return new Staging(
                new PayloadStore.Place(work.directory("regions").toString()),
                quotaBytes,
                Duration.ofMinutes(5),
                Duration.ofHours(1));
    }

    /** The job's side; its URI is the trainers'. */
    JobTransport forJob();

    /** A line that says where it is. */
    String description();

    @Override
    void close();
}
