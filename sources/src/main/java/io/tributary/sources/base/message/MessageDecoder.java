// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.message;

import io.tributary.protocol.message.TrainerEvent;
import java.io.IOException;
import java.util.OptionalLong;
import java.util.function.Consumer;

/** Turns messages into events. Used by one thread. */
public interface MessageDecoder extends AutoCloseable {

    /**
     * A lane is going to be read.
     *
     * @param fresh whether the job begins with it rather than being restored
     */
    default void begin(int lane, boolean fresh) {}

    /** Takes a message and, now or later, marks it done. */
    void accept(Message message, Consumer<TrainerEvent> out) throws IOException;

    /** Called between messages, several times a second. */
    default void tick(LaneOutput out) throws IOException {}

    /** Takes events with the lane that they came by. */
    @FunctionalInterface
    interface LaneOutput {
        void accept(int lane, TrainerEvent event);
    }

    /**
     * The first position of a lane that is still needed: a restored reader goes on from there.
     *
     * @return empty when all that has been accepted is dealt with
     */
    default OptionalLong neededFrom(int lane) {
        return OptionalLong.empty();
    }

    @Override
    default void close() throws IOException {}
}
