// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.ShortText;
import io.tributary.protocol.WireMessage;

/**
 * An input that was rejected.
 *
 * <p>What quotes input is bounded, so that a letter never has more than 4 KiB, whatever came.
 *
 * @param source where it came in, for example a topic, at most 256 bytes
 * @param trainer who sent it; empty where that cannot be told
 * @param round the round it named; 0 where that cannot be told
 * @param epoch the epoch it named; 0 where that cannot be told
 * @param reason why, for machines
 * @param text why, for people, in one line of at most 600 bytes
 */
public record DeadLetter(
        String source, String trainer, int round, long epoch, RejectReason reason, String text)
        implements WireMessage {

    /** How many bytes of a text for people are kept. */
    static final int MAX_TEXT_BYTES = 600;

    private static final int MAX_SOURCE_BYTES = 256;
    private static final int MAX_TRAINER_BYTES = 128;

    public DeadLetter {
        source = ShortText.of(source, MAX_SOURCE_BYTES);
        trainer = ShortText.of(trainer, MAX_TRAINER_BYTES);
        text = ShortText.of(text, MAX_TEXT_BYTES);
    }
}
