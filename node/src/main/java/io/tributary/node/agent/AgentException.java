// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

/** The agent cannot run as it was told to; the message says why and what to do. */
public final class AgentException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public AgentException(String message, Throwable cause) {
        super(message, cause);
    }
}
