// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.Evaluation;

/**
 * A trainer's connection to its job. What the job says goes to the {@link Inbox}: receipts, and
 * plans, with the model if that lies in a file, or its chunks by themselves. The trainer's thread
 * calls it; any thread may call {@link #sendControl}, {@link #connections} and {@link #makeRoom}.
 */
interface TrainerConnection extends AutoCloseable {

    /** Says something about this trainer. */
    void sendControl(Type type);

    /** Says what this trainer has found out about a model. */
    void evaluate(Evaluation said);

    /** Where updates are written. */
    UpdateRegions regions();

    /** Sends an update, or sends it again, as a new attempt if what was sent is lost. */
    void publish(ModelUpdate update);

    /** The job has answered an update: its memory can be used again. */
    void acknowledge(ModelUpdate update);

    /** Forgets the receipts that have come, before something is sent that will be answered. */
    default void forgetReceipts() {}

    /**
     * Looks whether the job has said something. A transport that hears of it without looking checks
     * its connection.
     *
     * @throws RuntimeException when the connection is lost for good
     */
    default void poll() {}

    /** Gives up memory that is not needed, because others wait for it. */
    default void makeRoom() {}

    /**
     * Rises when the connection was lost and is there again: the job may count this trainer out.
     */
    default int connections() {
        return 0;
    }

    /** Asks for the newest model: the job, or a new run of it, has let this trainer join. */
    default void requestModel() {}

    /**
     * Whether a job that is restored finds what was sent to it before. If not, the client sends an
     * update again after a restore or a new connection.
     */
    boolean isDurable();

    /** Breaks off without a word, as a crash would. */
    void abort();

    @Override
    void close();
}
