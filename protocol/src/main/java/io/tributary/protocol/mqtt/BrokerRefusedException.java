// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.mqtt;

import java.util.Set;
import org.eclipse.paho.mqttv5.common.MqttException;

/** The broker has answered, and does not let this client do what it wants: to ask again is vain. */
public final class BrokerRefusedException extends BrokerUnavailableException {

    /** Bad user name or password, and not authorized; also by the numbers of MQTT 3. */
    private static final Set<Integer> LOGIN = Set.of(0x86, 0x87, 4, 5);

    /** MQTT 5, section 2.4: from here on reason codes say that something was refused. */
    static final int REFUSED = 0x80;

    /** Not authorized, topic filter invalid, topic name invalid, payload format invalid. */
    private static final Set<Integer> FINAL = Set.of(0x87, 0x8F, 0x90, 0x99);

    private BrokerRefusedException(String message, Throwable cause) {
        super(message, cause);
    }

    /** Whether a broker says no to who connects. */
    static boolean refuses(MqttException e) {
        return LOGIN.contains(e.getReasonCode());
    }

    static BrokerRefusedException login(BrokerOptions broker, MqttException e) {
        return new BrokerRefusedException(
                "broker %s refuses %s (%s); check user and password"
                        .formatted(broker, who(broker), reason(e)),
                e);
    }

    /**
     * Takes a broker's answer for one.
     *
     * @param codes MQTT 5's reason codes; null where it has given none
     * @throws BrokerRefusedException when it says no for good
     * @throws MqttException when it says no for now
     */
    static void check(BrokerOptions broker, String action, String topic, int[] codes)
            throws MqttException {
        for (int code : codes == null ? new int[0] : codes) {
            if (FINAL.contains(code)) {
                throw new BrokerRefusedException(
                        "broker %s does not let %s %s %s (reason code 0x%02X); check its access rules: a trainer's user is its id, and rules are for one job's name"
                                .formatted(broker, who(broker), action, topic, code),
                        null);
            }
            if (code >= REFUSED) {
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
