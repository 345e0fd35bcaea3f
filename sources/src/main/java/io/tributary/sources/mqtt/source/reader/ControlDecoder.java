// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.reader;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.Delivery;
import java.util.function.Consumer;

/** Reads control messages, and holds them against the topic that they came by. */
public final class ControlDecoder implements MessageDecoder {

    private final Topics topics;

    public ControlDecoder(String job) {
        this.topics = new Topics(job);
    }

    @Override
    public void accept(Delivery message, Consumer<Arrival> out) {
        try {
            ControlMessage control = ControlMessage.decode(message.payload());
            if (!control.job().equals(topics.job())
                    || !message.topic().equals(topics.control(control.trainer()))) {
                throw new RejectedException(
                        RejectReason.MALFORMED,
                        "it speaks for trainer '%s' of job '%s', which is not what its topic says"
                                .formatted(control.trainer(), control.job()));
            }
            out.accept(new Arrival.Control(control));
        } catch (RejectedException e) {
            out.accept(
                    new Arrival.Refused(
                            new DeadLetter(
                                    message.topic(),
                                    "",
                                    0,
                                    0,
                                    e.reason(),
                                    "control message: " + e.getMessage()),
                            false));
        }
        message.done().run();
    }
}
