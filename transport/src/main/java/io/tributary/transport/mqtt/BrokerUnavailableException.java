// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import org.eclipse.paho.mqttv5.common.MqttException;

/** The broker could not be reached within the patience, or rejects what is asked of it. */
public sealed class BrokerUnavailableException extends RuntimeException
        permits BrokerRejectedException {

    BrokerUnavailableException(BrokerOptions broker, Throwable cause) {
        super(
                "broker %s: no connection within %d s (%s); is it running, and are address, user and certificates right?"
                        .formatted(broker, broker.patience().toSeconds(), reason(cause)),
                cause);
    }

    BrokerUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }

    /** The broker is there, and says no again and again. */
    static BrokerUnavailableException rejecting(
            BrokerOptions broker, ReasonCode reason, Throwable cause) {
        return new BrokerUnavailableException(
                "broker %s has not taken what it was sent for %d s: %s"
                        .formatted(broker, broker.patience().toSeconds(), reason),
                cause);
    }

    /** So Mosquitto answers to what is longer than its {@code message_size_limit}. */
    static boolean isUnknownCode(MqttException e) {
        return e.getReasonCode() == MqttException.REASON_CODE_INVALID_RETURN_CODE;
    }

    static String reason(Throwable cause) {
        Throwable deepest = cause;
        while (deepest.getCause() != null) {
            deepest = deepest.getCause();
        }
        if (deepest instanceof MqttException e && ReasonCode.of(e).isPresent()) {
            return ReasonCode.of(e).get().toString();
        }
        if (deepest instanceof MqttException e && isUnknownCode(e)) {
            return "it answers with a reason code that MQTT 5 does not have there; is the message larger than it allows?";
        }
        return deepest.getMessage() == null ? deepest.toString() : deepest.getMessage();
    }
}
