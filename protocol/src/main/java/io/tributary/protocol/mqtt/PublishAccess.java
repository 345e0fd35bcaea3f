// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.mqtt;

import java.util.Arrays;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttAsyncClient;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.common.MqttException;

/** Tells where a client may publish. */
public final class PublishAccess {

    /** MQTT 5, section 2.4: from here on reason codes say that something was refused. */
    private static final int REFUSED = 0x80;

    /** Bad user name or password, and not authorized; also by the numbers of MQTT 3. */
    private static final Set<Integer> REFUSALS = Set.of(0x86, 0x87, 4, 5);

    private PublishAccess() {}

    /**
     * Whether a broker lets a client publish to a topic. It is tried, once, with an empty message.
     *
     * @throws BrokerUnavailableException when that cannot be told
     */
    public static boolean admits(BrokerOptions broker, String topic) {
        MqttLink.Settings settings =
                new MqttLink.Settings("tributary-probe-" + UUID.randomUUID(), 1, Optional.empty());
        try {
            MqttAsyncClient client =
                    new MqttAsyncClient(broker.url(), settings.clientId(), new MemoryPersistence());
            client.connect(MqttLink.connection(broker, settings))
                    .waitForCompletion(MqttLink.ACK_TIMEOUT_MILLIS);
            try {
                IMqttToken sent = client.publish(topic, new byte[0], 1, false);
                sent.waitForCompletion(MqttLink.ACK_TIMEOUT_MILLIS);
                int[] codes = sent.getReasonCodes();
                return codes == null || Arrays.stream(codes).allMatch(code -> code < REFUSED);
            } finally {
                client.disconnectForcibly(0, MqttLink.ACK_TIMEOUT_MILLIS, true);
                client.close();
            }
        } catch (MqttException e) {
            if (REFUSALS.contains(e.getReasonCode())) {
                return false;
            }
            throw new BrokerUnavailableException(broker, e);
        }
    }
}
