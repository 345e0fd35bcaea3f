// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.mqtt;

/** The broker could not be reached within the patience, or refuses what is asked of it. */
public sealed class BrokerUnavailableException extends RuntimeException
        permits BrokerRefusedException {

    BrokerUnavailableException(BrokerOptions broker, Throwable cause) {
        super(
                "broker %s: no connection within %d s (%s); is it running, and are address, user and"
                                .formatted(broker, broker.patience().toSeconds(), reason(cause))
                        + " certificates right?",
                cause);
    }

    BrokerUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }

    static String reason(Throwable cause) {
        Throwable deepest = cause;
        while (deepest.getCause() != null) {
            deepest = deepest.getCause();
        }
        return deepest.getMessage() == null ? deepest.toString() : deepest.getMessage();
    }
}
