// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.kafka;

/** Kafka could not be reached, or did not answer in time. */
public final class KafkaUnavailableException extends RuntimeException {

    KafkaUnavailableException(KafkaOptions kafka, Throwable cause) {
        this(
                "Kafka at %s: %s; is it running, and are address and security properties right?"
                        .formatted(kafka, cause.getMessage()),
                cause);
    }

    KafkaUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
