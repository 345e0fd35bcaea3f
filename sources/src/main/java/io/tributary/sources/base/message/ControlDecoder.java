// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.message;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.message.TrainerEvent;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/** Reads control messages, and holds them against what the transport says of their sender. */
public final class ControlDecoder implements MessageDecoder {

    private final String job;
    private final RejectionBudget rejections;

    /**
     * @param nanoTime the clock
     */
    public ControlDecoder(String job, LongSupplier nanoTime) {
        this.job = job;
        this.rejections = RejectionBudget.ofStrangers(nanoTime);
    }

    @Override
    public void accept(Message message, Consumer<TrainerEvent> out) {
        try {
            ControlMessage control = ControlMessage.decode(message.payload());
            if (!control.job().equals(job) || !control.trainer().equals(message.sender())) {
                throw new RejectedException(
                        RejectReason.MALFORMED,
                        "it speaks for trainer '%s' of job '%s', it came from '%s'"
                                .formatted(control.trainer(), control.job(), message.sender()));
            }
            out.accept(new TrainerEvent.Control(control));
        } catch (RejectedException e) {
            reject(message, e, out);
        }
        message.done().run();
    }

    /** The sender is told, if it can be identified: otherwise it would ask for ever. */
    private void reject(Message message, RejectedException why, Consumer<TrainerEvent> out) {
        String trainer = name(message.sender());
        rejections.tell(
                new TrainerEvent.InputRejected(
                        new DeadLetter(
                                message.source(),
                                trainer,
                                0,
                                0,
                                why.reason(),
                                "control message: " + why.getMessage()),
                        false,
                        0,
                        trainer.isEmpty() ? "" : instance(message)),
                out);
    }

    private static String instance(Message message) {
        try {
            return name(Json.tree(message.payload()).path("instance").asText());
        } catch (RejectedException e) {
            return "";
        }
    }

    private static String name(String text) {
        try {
            return Names.check("name", text);
        } catch (RejectedException e) {
            return "";
        }
    }
}
