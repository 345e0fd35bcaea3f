// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.ShortText;
import io.tributary.protocol.WireMessage;

/**
 * The job's answer to a trainer.
 *
 * @param job the job
 * @param run the submission of the job that answers
 * @param trainer whom it is for
 * @param instance the client object it is for where it answers a JOIN; empty otherwise
 * @param round the update's round; where it answers a JOIN, the round that is open or comes next
 * @param epoch the update's epoch; where it answers a JOIN, the job's of now
 * @param attempt the sending of the update that is answered; 0 where it answers a JOIN
 * @param contentId of the update that is answered, the CRC32C of its payload in 8 hexadecimal
 *     digits; empty where it answers a JOIN, or where the payload was not read
 * @param restores where it answers a JOIN, how often the job has been restored; 0 otherwise
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
        String contentId,
        int restores,
        Status status,
        RejectReason reason,
        String text,
        String token)
        implements WireMessage {

    /** One of an earlier version, which a checkpoint may hold, says less. */
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static Receipt read(JsonNode json) {
        return new Receipt(
                json.required("job").asText(),
                json.required("run").asText(),
                json.required("trainer").asText(),
                json.required("instance").asText(),
                json.required("round").asInt(),
                json.required("epoch").asLong(),
                json.required("attempt").asLong(),
                json.path("contentId").asText(),
                json.path("restores").asInt(),
                Status.valueOf(json.required("status").asText()),
                RejectReason.valueOf(json.required("reason").asText()),
                json.required("text").asText(),
                json.required("token").asText());
    }

    public Receipt {
        text = ShortText.of(text, DeadLetter.MAX_TEXT_BYTES);
    }

    /**
     * What was decided.
     *
     * @param status the answer
     * @param reason NONE unless it is REJECTED
     * @param text one line for people; empty unless it is REJECTED
     */
    public record Decision(Status status, RejectReason reason, String text) {

        /** What needs no reason. */
        public static Decision of(Status status) {
            return new Decision(status, RejectReason.NONE, "");
        }

        /** A rejection. */
        public static Decision rejected(RejectReason reason, String text) {
            return new Decision(Status.REJECTED, reason, text);
        }
    }

    /**
     * The sending of an update that is answered.
     *
     * @param trainer who sent it
     * @param round the round that it is for
     * @param attempt the sending
     * @param contentId of its payload; empty where that was not read
     */
    public record Sending(String trainer, RoundId round, long attempt, String contentId) {

        /** That of a claim. */
        public static Sending of(Claim claim) {
            return new Sending(
                    claim.trainer(),
                    claim.id(),
                    claim.attempt(),
                    Receipt.contentId(claim.crc32c()));
        }
    }

    /** The answer to an update. */
    public static Receipt ofUpdate(String job, Run run, Sending sending, Decision decision) {
        return new Receipt(
                job,
                run.id(),
                sending.trainer(),
                "",
                sending.round().round(),
                sending.round().epoch(),
                sending.attempt(),
                sending.contentId(),
                0,
                decision.status(),
                decision.reason(),
                decision.text(),
                "");
    }

    /**
     * The answer to a JOIN.
     *
     * @param instance the client object that asked
     * @param now the round that is open or comes next, and the job's epoch
     * @param restores how often the job has been restored
     */
    public static Receipt ofJoin(
            String job,
            Run run,
            String trainer,
            String instance,
            RoundId now,
            int restores,
            Decision decision) {
        boolean joined = decision.status() == Status.JOINED;
        return new Receipt(
                job,
                run.id(),
                trainer,
                instance,
                now.round(),
                now.epoch(),
                0,
                "",
                restores,
                decision.status(),
                decision.reason(),
                decision.text(),
                joined ? run.token(trainer, instance) : "");
    }

    /** The id of content with this checksum. */
    public static String contentId(int crc32c) {
        return "%08x".formatted(crc32c);
    }

    /** The kinds of answers. */
    public enum Status {
        /** The trainer takes part. */
        JOINED(false),
        /** The update counts, and a completed checkpoint holds it. */
        COMMITTED(true),
        /** It had been counted before; a completed checkpoint holds the first one. */
        DUPLICATE(true),
        /** The update does not count, or the join is rejected. */
        REJECTED(false),
        /** There was no room for the update when it came; there is now: send it again. */
        RESEND(false);

        private final boolean durable;

        Status(boolean durable) {
            this.durable = durable;
        }
    }

    /**
     * Whether it may leave only after a checkpoint. A round that is over may be open again after a
     * restore, and count what was too late before.
     */
    public boolean leavesWithCheckpoint() {
        return status.durable || reason == RejectReason.LATE;
    }
}
