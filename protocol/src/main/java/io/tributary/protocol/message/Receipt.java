// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.ShortText;

/**
 * The job's answer to a trainer.
 *
 * @param job the job
 * @param run the submission of the job that answers
 * @param trainer whom it is for
 * @param instance the client object it is for where it answers a JOIN; empty otherwise
 * @param round the update's round; 0 where it answers a JOIN
 * @param epoch the update's epoch; 0 where it answers a JOIN
 * @param attempt the sending of the update that is answered; 0 where it answers a JOIN
 * @param status the answer
 * @param reason NONE unless REJECTED
 * @param text one line for people, of at most 600 bytes; empty unless REJECTED
 * @param token what this client shows with each chunk that it sends; empty unless JOINED
 */
public record Receipt(
        String job,
        String run,
        String trainer,
        String instance,
        int round,
        long epoch,
        long attempt,
        Status status,
        RejectReason reason,
        String text,
        String token) {

    public Receipt {
        text = ShortText.of(text, DeadLetter.MAX_TEXT_BYTES);
    }

    /** The kinds of answers. */
    public enum Status {
        /** The trainer takes part. */
        JOINED(false),
        /** The update counts, and a completed checkpoint holds it. */
        COMMITTED(true),
        /** It had been counted before; a completed checkpoint holds the first one. */
        DUPLICATE(true),
        /** The update does not count, or the join is refused. */
        REJECTED(false),
        /** There was no room for the update when it came; there is now: send it again. */
        RESEND(false);

        private final boolean durable;

        Status(boolean durable) {
            this.durable = durable;
        }

        /** Whether it may leave only after a checkpoint. */
        public boolean durable() {
            return durable;
        }
    }
}
