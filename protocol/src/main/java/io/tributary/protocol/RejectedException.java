// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import java.util.Objects;

/**
 * An input that cannot be used. The message is one line that says what was expected, what came,
 * where, and what to do; it is meant for people.
 */
public final class RejectedException extends RuntimeException {

    private final RejectReason reason;

    public RejectedException(RejectReason reason, String message) {
        super(message);
        this.reason = Objects.requireNonNull(reason);
    }

    /** The machine-readable reason. */
    public RejectReason reason() {
        return reason;
    }
}
