// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

/** A wrong argument; the message says what was expected. */
public final class UsageException extends RuntimeException {

    public UsageException(String message) {
        super(message);
    }
}
