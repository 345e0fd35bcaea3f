// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import java.util.Objects;

/**
 * An input that cannot be used. The message is one line that says what was expected, what came,
 * where, and what to do; it is meant for people, and cut at 1000 bytes, because it may quote what
 * came.
 */
public final class RejectedException extends RuntimeException {

    private final RejectReason reason;

    private static final int MAX_MESSAGE_BYTES = 1000;

    public RejectedException(RejectReason reason, String message) {
        super(ShortText.of(message, MAX_MESSAGE_BYTES));
        this.reason = Objects.requireNonNull(reason);
    }

    /** The machine-readable reason. */
    public RejectReason reason() {
        return reason;
    }
}
