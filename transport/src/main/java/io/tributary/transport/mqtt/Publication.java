// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import io.tributary.protocol.Json;
import java.nio.ByteBuffer;
import java.util.Map;

/**
 * A message to be sent.
 *
 * @param topic where to
 * @param payload its bytes
 * @param properties its MQTT 5 user properties
 * @param retained whether the broker keeps it for later subscribers
 */
public record Publication(
        String topic, byte[] payload, Map<String, String> properties, boolean retained) {

    /** A message in JSON. */
    public static Publication json(String topic, Object value, boolean retained) {
        return new Publication(topic, Json.encode(value), Map.of(), retained);
    }

    /** A message of the remaining bytes. */
    public static Publication bytes(
            String topic, ByteBuffer bytes, Map<String, String> properties, boolean retained) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return new Publication(topic, copy, properties, retained);
    }
}
