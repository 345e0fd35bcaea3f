// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import io.tributary.protocol.RejectReason;

/**
 * An input that was refused.
 *
 * @param source where it came in, for example a topic
 * @param trainer who sent it; empty where that cannot be told
 * @param round the round it named; 0 where that cannot be told
 * @param epoch the epoch it named; 0 where that cannot be told
 * @param reason why, for machines
 * @param text why, for people, in one line
 */
public record DeadLetter(
        String source, String trainer, int round, int epoch, RejectReason reason, String text) {}
