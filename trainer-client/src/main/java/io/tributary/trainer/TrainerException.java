// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.RejectReason;

/** The job rejected the trainer, or did not answer in time. */
public final class TrainerException extends RuntimeException {

    private final RejectReason reason;

    TrainerException(RejectReason reason, String message) {
        super(message);
        this.reason = reason;
    }

    /** Why the job rejected the trainer; NONE where it did not answer. */
    public RejectReason reason() {
        return reason;
    }
}
