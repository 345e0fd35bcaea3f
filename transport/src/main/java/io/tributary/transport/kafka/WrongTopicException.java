// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.kafka;

/** A topic has settings with which a job cannot work; the message says which, and what to do. */
public final class WrongTopicException extends IllegalArgumentException {

    private static final long serialVersionUID = 1L;

    private final String topic;

    WrongTopicException(String topic, String found, String expected) {
        super(
                "topic '%s' has %s, expected %s; alter it with kafka-configs, or delete the topic and it will be made anew"
                        .formatted(topic, found, expected));
        this.topic = topic;
    }

    /** Its name. */
    String topic() {
        return topic;
    }
}
