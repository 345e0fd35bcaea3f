// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.mailbox;

import java.util.Arrays;

/** Why the agent rejects an endpoint. */
public enum Rejection {
    /** Bytes that are not descriptors of 64 bytes. */
    MALFORMED(1, "it sent bytes that are not descriptors of 64 bytes"),
    /** The id belongs to another living endpoint. */
    TAKEN(2, "its id belongs to another living endpoint"),
    /** The first HELLO has no token of the agent's, or one that has been used or is old. */
    TOKEN(3, "its HELLO has no token that the agent has just given it at its door"),
    /** A descriptor for others before HELLO. */
    NO_HELLO(4, "it did not say HELLO first"),
    /** A code of another version of the agent. */
    UNKNOWN(0, "for a reason that this version does not know");

    private final int code;
    private final String text;

    Rejection(int code, String text) {
        this.code = code;
        this.text = text;
    }

    /** The number in the descriptor. */
    public int code() {
        return code;
    }

    /** For people. */
    public String text() {
        return text;
    }

    /** The rejection with this code. */
    public static Rejection of(int code) {
        return Arrays.stream(values()).filter(r -> r.code == code).findFirst().orElse(UNKNOWN);
    }
}
