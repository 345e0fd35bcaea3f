// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import io.tributary.protocol.chunk.ChunkPart;
import java.util.Optional;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;

/**
 * What a broker says of itself when it lets a client in (MQTT 5.0, section 3.2.2.3).
 *
 * @param receiveMaximum messages that may wait for its acknowledgement, ≥ 1
 * @param maximumPacketBytes the largest packet that it takes
 */
record BrokerLimits(int receiveMaximum, long maximumPacketBytes) {

    /** A chunk's topic and properties: names and token, and 32 metrics of 64 characters. */
    private static final int BESIDE_PAYLOAD = 16 << 10;

    private static final int UNLIMITED_MESSAGES = 65_535;

    /** Before anything is known. */
    static final BrokerLimits NONE = new BrokerLimits(UNLIMITED_MESSAGES, Long.MAX_VALUE);

    /**
     * Reads a CONNACK.
     *
     * @param said its properties; null where it has none
     * @throws BrokerRejectedException when the broker lacks what Tributary needs
     */
    static BrokerLimits of(BrokerOptions broker, MqttProperties said) {
        if (said == null) {
            return NONE;
        }
        if (said.getMaximumQoS() != null && said.getMaximumQoS() < 1) {
            throw BrokerRejectedException.unfit(broker, ReasonCode.NO_QOS.toString());
        }
        if (Boolean.FALSE.equals(said.isRetainAvailable())) {
            throw BrokerRejectedException.unfit(broker, ReasonCode.NO_RETAIN.toString());
        }
        BrokerLimits limits =
                new BrokerLimits(
                        Optional.ofNullable(said.getReceiveMaximum()).orElse(UNLIMITED_MESSAGES),
                        Optional.ofNullable(said.getMaximumPacketSize()).orElse(Long.MAX_VALUE));
        if (limits.maximumPacketBytes - BESIDE_PAYLOAD < ChunkPart.MIN_CHUNK_BYTES) {
            throw BrokerRejectedException.unfit(
                    broker,
                    "it takes packets of at most %d bytes, expected %d or more; raise its largest packet"
                            .formatted(
                                    limits.maximumPacketBytes,
                                    BESIDE_PAYLOAD + ChunkPart.MIN_CHUNK_BYTES));
        }
        return limits;
    }

    /** How long chunks may be, so that they fit with what stands beside them. */
    int chunkBytes() {
        long most = Math.min(ChunkPart.MAX_CHUNK_BYTES, maximumPacketBytes - BESIDE_PAYLOAD);
        return (int) (most - most % ChunkPart.MIN_CHUNK_BYTES);
    }
}
