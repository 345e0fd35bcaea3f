// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import org.eclipse.paho.mqttv5.common.MqttException;

/** The broker has answered, and does not let this client do what it wants: to ask again is vain. */
public final class BrokerRejectedException extends BrokerUnavailableException {

    private BrokerRejectedException(String message, Throwable cause) {
        super(message, cause);
    }

    /** The broker does not let it in, or not in a way that is of use. */
    static BrokerRejectedException connection(BrokerOptions broker, ReasonCode reason) {
        return new BrokerRejectedException(
                "broker %s rejects %s: %s".formatted(broker, who(broker), reason), null);
    }

    /** What the broker says of itself does not suffice. */
    static BrokerRejectedException unfit(BrokerOptions broker, String why) {
        return new BrokerRejectedException(
                "broker %s cannot be used: %s".formatted(broker, why), null);
    }

    /**
     * Takes a broker's answer for one.
     *
     * @param codes MQTT 5's reason codes; null where it has given none
     * @throws BrokerRejectedException when it says no for good
     * @throws MqttException when it says no for now
     */
    static void check(BrokerOptions broker, String action, String topic, int[] codes)
            throws MqttException {
        for (int code : codes == null ? new int[0] : codes) {
            ReasonCode reason = ReasonCode.of(code).orElse(null);
            if (reason != null && reason.permanent()) {
                throw new BrokerRejectedException(
                        "broker %s does not let %s %s %s: %s"
                                .formatted(broker, who(broker), action, topic, reason),
                        null);
            }
            if (reason != null) {
                throw new MqttException(code);
            }
        }
    }

    private static String who(BrokerOptions broker) {
        return broker.userName().isEmpty()
                ? "clients without a name"
                : "user '%s'".formatted(broker.userName());
    }
}
