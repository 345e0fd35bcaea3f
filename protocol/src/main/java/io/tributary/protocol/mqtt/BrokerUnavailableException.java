// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.mqtt;

/** The broker could not be reached within the patience. */
public final class BrokerUnavailableException extends RuntimeException {

    BrokerUnavailableException(BrokerOptions broker, Throwable cause) {
        super(
                "broker %s: no connection within %d s (%s); is it running, and are address, user and"
                                .formatted(broker, broker.patience().toSeconds(), reason(cause))
                        + " certificates right?",
                cause);
    }

    private static String reason(Throwable cause) {
        Throwable deepest = cause;
        while (deepest.getCause() != null) {
            deepest = deepest.getCause();
        }
        return deepest.getMessage() == null ? deepest.toString() : deepest.getMessage();
    }
}
