// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import java.util.Map;

/**
 * A message that has arrived.
 *
 * @param topic where
 * @param payload its bytes
 * @param properties its MQTT 5 user properties
 * @param done to be run once when it has been dealt with: the broker sends at most the receive
 *     maximum of messages that are not done. Thread-safe
 */
public record Delivery(
        String topic, byte[] payload, Map<String, String> properties, Runnable done) {}
