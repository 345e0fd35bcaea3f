// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.job.graph.Transport;

/** Where the demo's job and its trainers meet, and nowhere else. */
interface MeetingPlace extends AutoCloseable {

    /** The job's way to it. */
    Transport forJob();

    /** The trainers' way to it. */
    io.tributary.trainer.Transport forTrainers();

    /** A line that says where it is. */
    String description();

    /** Options of {@code tributary trainer} that lead to it. */
    String trainerOptions();

    @Override
    void close();
}
