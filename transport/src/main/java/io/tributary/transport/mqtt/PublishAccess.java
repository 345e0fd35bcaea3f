// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import java.util.Arrays;
import java.util.Optional;
import java.util.UUID;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttAsyncClient;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.common.MqttException;

/** Tells where a client may publish. */
public final class PublishAccess {

    private PublishAccess() {}

    /**
     * Whether a broker lets a client publish to a topic. It is tried, once, with an empty message.
     *
     * @throws BrokerRejectedException when it does not let the client in
     * @throws BrokerUnavailableException when that cannot be told
     */
    public static boolean admits(BrokerOptions broker, String topic) {
        MqttLink.Settings settings =
                new MqttLink.Settings("tributary-probe-" + UUID.randomUUID(), 1, Optional.empty());
        try {
            MqttAsyncClient client =
                    new MqttAsyncClient(
                            broker.serverUri(), settings.clientId(), new MemoryPersistence());
            client.connect(Connecting.options(broker, settings))
                    .waitForCompletion(MqttLink.ACK_TIMEOUT_MILLIS);
            try {
                IMqttToken sent = client.publish(topic, new byte[0], 1, false);
                sent.waitForCompletion(MqttLink.ACK_TIMEOUT_MILLIS);
                int[] codes = sent.getReasonCodes();
                return codes == null
                        || Arrays.stream(codes).allMatch(code -> ReasonCode.of(code).isEmpty());
            } finally {
                client.disconnectForcibly(0, MqttLink.ACK_TIMEOUT_MILLIS, true);
                client.close();
            }
        } catch (MqttException e) {
            ReasonCode reason = ReasonCode.of(e).orElse(ReasonCode.UNSPECIFIED);
            if (reason.permanent()) {
                throw BrokerRejectedException.connection(broker, reason);
            }
            throw new BrokerUnavailableException(broker, e);
        }
    }
}
