// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import io.tributary.transport.Secret;
import java.nio.charset.StandardCharsets;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttAsyncClient;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.MqttMessage;

/** How a link asks a broker to be let in, and takes its answer. Stateless. */
final class Connecting {

    /** A chunk of 1 MiB with its properties; a broker keeps what is larger to itself. */
    private static final long MAX_PACKET_BYTES = 2 << 20;

    private Connecting() {}

    static PayloadModules.Options options(BrokerOptions broker, MqttLink.Settings settings) {
        PayloadModules.Options connection = new PayloadModules.Options();
        connection.setCleanStart(true);
        connection.setAutomaticReconnect(false);
        connection.setConnectionTimeout(10);
        connection.setKeepAliveInterval(20);
        connection.setReceiveMaximum(settings.receiveMaximum());
        connection.setMaximumPacketSize(MAX_PACKET_BYTES);
        authenticate(connection, broker);
        if (broker.tls()) {
            connection.setSocketFactory(TlsContext.socketFactory(broker));
            connection.setHttpsHostnameVerificationEnabled(true);
        }
        settings.will()
                .ifPresent(
                        w ->
                                connection.setWill(
                                        w.topic(),
                                        new MqttMessage(w.payload(), MqttLink.QOS, false, null)));
        return connection;
    }

    private static void authenticate(PayloadModules.Options connection, BrokerOptions broker) {
        if (!broker.userName().isEmpty()) {
            connection.setUserName(broker.userName());
            connection.setPassword(
                    Secret.resolve(broker.password()).getBytes(StandardCharsets.UTF_8));
        }
    }

    /**
     * Connects a client once.
     *
     * @return what the broker says of itself
     * @throws BrokerRejectedException when it does not let the client in, or lacks what is needed
     * @throws MqttException when it may be tried again
     */
    static BrokerLimits connect(
            MqttAsyncClient client, PayloadModules.Options options, BrokerOptions broker)
            throws MqttException {
        authenticate(options, broker);
        IMqttToken connected = client.connect(options);
        try {
            connected.waitForCompletion(MqttLink.ACK_TIMEOUT_MILLIS);
        } catch (MqttException e) {
            ReasonCode reason = ReasonCode.of(e).orElse(ReasonCode.UNSPECIFIED);
            if (reason.permanent()) {
                throw BrokerRejectedException.connection(broker, reason);
            }
            throw e;
        }
        try {
            return BrokerLimits.of(broker, connected.getResponseProperties());
        } catch (BrokerRejectedException e) {
            client.disconnectForcibly(0, 0, false);
            throw e;
        }
    }
}
