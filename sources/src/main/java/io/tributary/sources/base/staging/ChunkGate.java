// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkSender;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.message.Message;
import io.tributary.sources.base.message.RejectionBudget;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * Lets chunks of members in, before anything is spent on them: who sends it is read and checked
 * first, by the token that the job gave when it joined, then all else. Not thread-safe.
 */
final class ChunkGate {

    private final String job;
    private final Run run;

    /** The last sending of each trainer that was rejected because its token is not of this run. */
    private final Map<String, Long> strangers = new Remembered<>();

    private final RejectionBudget ofStrangers;
    private final Map<String, RejectionBudget> ofMembers = new Remembered<>();
    private final LongSupplier nanoTime;

    /**
     * @param job only updates for this job are let in
     * @param run whose tokens are taken
     * @param nanoTime the clock
     */
    ChunkGate(String job, Run run, LongSupplier nanoTime) {
        this.job = job;
        this.run = run;
        this.nanoTime = nanoTime;
        this.ofStrangers = RejectionBudget.ofStrangers(nanoTime);
    }

    /**
     * Looks at a message.
     *
     * @param out is given the rejection of one that is not let in
     * @return the chunk, if it is let in
     */
    Optional<Chunk> admit(Message message, Consumer<TrainerEvent> out) {
        ChunkSender sender;
        try {
            sender = named(message);
        } catch (RejectedException e) {
            ofStrangers.tell(Rejections.of(message, Optional.empty(), Optional.empty(), e), out);
            return Optional.empty();
        }
        if (!run.gave(sender.token(), sender.trainer(), sender.instance())) {
            rejectStranger(message, sender, out);
            return Optional.empty();
        }
        Optional<ChunkHeader> header = Optional.empty();
        try {
            if (!sender.job().equals(job)) {
                throw new RejectedException(
                        RejectReason.WRONG_JOB,
                        "it is for job '%s', this is '%s'".formatted(sender.job(), job));
            }
            header = Optional.of(ChunkHeader.fromProperties(message.properties()));
            header.get().part().check(ByteBuffer.wrap(message.payload()));
            return Optional.of(new Chunk(sender, header.get(), message));
        } catch (RejectedException e) {
            reject(message, sender, header, e, out);
            return Optional.empty();
        }
    }

    /** Says why a member's chunk cannot be used. */
    void reject(
            Message message,
            ChunkSender sender,
            Optional<ChunkHeader> header,
            RejectedException why,
            Consumer<TrainerEvent> out) {
        ofMembers
                .computeIfAbsent(sender.trainer(), ignored -> RejectionBudget.ofMember(nanoTime))
                .tell(Rejections.of(message, Optional.of(sender), header, why), out);
    }

    private ChunkSender named(Message message) {
        ChunkSender sender = ChunkSender.fromProperties(message.properties());
        if (!sender.trainer().equals(message.sender())) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property 'trainer' is '%s', the sender is '%s'"
                            .formatted(sender.trainer(), message.sender()));
        }
        return sender;
    }

    /** Once for each sending: it may be a member's, whose job has been submitted again. */
    private void rejectStranger(Message message, ChunkSender sender, Consumer<TrainerEvent> out) {
        Long before = strangers.put(sender.trainer(), sender.attempt());
        if (before == null || before != sender.attempt()) {
            ofStrangers.tell(
                    Rejections.of(
                            message,
                            Optional.of(sender),
                            Optional.empty(),
                            new RejectedException(
                                    RejectReason.UNKNOWN_TRAINER,
                                    "its token was not given by this run of the job; join again, and send again")),
                    out);
        }
    }
}
