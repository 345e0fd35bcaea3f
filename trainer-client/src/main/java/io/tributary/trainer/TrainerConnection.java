// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.message.ControlMessage.Type;

/**
 * A trainer's connection to its job. What the job says goes to the {@link Inbox}. Belongs to the
 * trainer's thread, but for {@link #say}, {@link #connections} and {@link #makeRoom}.
 */
interface TrainerConnection extends AutoCloseable {

    /** Says something about this trainer. */
    void say(Type type);

    /** Where updates are written. */
    UpdateRegions regions();

    /** Sends an update, or sends it again, as a new attempt where it is not there any more. */
    void publish(ModelUpdate update);

    /** An update has been answered. */
    void answered(ModelUpdate update);

    /** Forgets what has been answered, before something is sent that will be. */
    default void forget() {}

    /** Looks whether the job has said something, where nobody else does. */
    default void look() {}

    /** Gives up what is not needed, where others wait for room; on any thread. */
    default void makeRoom() {}

    /** Rises when the job may take this trainer for gone. */
    default int connections() {
        return 0;
    }

    /** The job, or a new run of it, has taken this trainer in: its newest model is wanted. */
    default void ask() {}

    /** Whether what was sent is there for a job that has been restored. */
    boolean keeps();

    /** Breaks off without a word. */
    void abort();

    @Override
    void close();
}
