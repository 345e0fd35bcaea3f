// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.sink;

import io.tributary.transport.mqtt.Publication;
import java.io.Serializable;

/**
 * Says what is sent for a value.
 *
 * @param <T> the value's type
 */
@FunctionalInterface
public interface MqttEncoder<T> extends Serializable {

    /**
     * The messages, in the order in which they are to be sent; may be made as they are sent.
     *
     * @param chunkBytes how long payloads may be that are cut
     */
    Iterable<Publication> encode(T value, int chunkBytes);
}
