// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.reader;

import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.mqtt.Delivery;
import io.tributary.shm.flow.LaneSplit;
import java.io.IOException;
import java.util.function.Consumer;

/** Turns messages into arrivals. Used by one thread. */
public interface MessageDecoder extends AutoCloseable {

    /** A lane is going to be read. */
    default void begin(LaneSplit split) {}

    /** Takes a message and, now or later, marks it done. */
    void accept(Delivery message, Consumer<Arrival> out) throws IOException;

    /** Called between messages, several times a second. */
    default void tick(Consumer<Arrival> out) throws IOException {}

    @Override
    default void close() throws IOException {}
}
