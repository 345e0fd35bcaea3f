// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.protocol.message.Topics;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import io.tributary.transport.kafka.KafkaUnavailableException;
import io.tributary.transport.kafka.TopicAccess;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.BrokerRejectedException;
import io.tributary.transport.mqtt.BrokerUnavailableException;
import io.tributary.transport.mqtt.PublishAccess;
import java.util.Optional;

/**
 * A client of the job's broker that is not the job: a trainer where its credentials are known, else
 * somebody who shows none. It must not be able to speak for the job.
 *
 * @param mqtt how it reaches an MQTT broker, if that is how the job speaks
 * @param kafka how it reaches Kafka, if that is how the job speaks
 */
public record ForeignClient(Optional<BrokerOptions> mqtt, Optional<KafkaOptions> kafka) {

    private static final String WARNING =
            "%s lets %s publish for the job: who reaches it can send trainers plans and models, and answer for the job; docs/security.md has the access rules that prevent it";

    /** There is no broker that others could reach. */
    static final ForeignClient NONE = new ForeignClient(Optional.empty(), Optional.empty());

    /**
     * What an operator should know.
     *
     * @param job the job's name
     * @return empty where all is well
     */
    public Optional<String> warning(String job) {
        try {
            if (mqtt.isPresent() && admits(mqtt.get(), new Topics(job).probe())) {
                return Optional.of(
                        WARNING.formatted("the broker " + mqtt.get(), who(mqtt.get().userName())));
            }
            if (kafka.isPresent()
                    && TopicAccess.maySpeakForJob(kafka.get(), new KafkaTopics(job))) {
                return Optional.of(
                        WARNING.formatted(
                                "Kafka at " + kafka.get(),
                                kafka.get().properties().isEmpty() ? who("") : "trainers"));
            }
            return Optional.empty();
        } catch (BrokerUnavailableException | KafkaUnavailableException e) {
            return Optional.of(
                    "it could not be told whether others may publish for the job: "
                            + e.getMessage());
        }
    }

    private static boolean admits(BrokerOptions client, String topic) {
        try {
            return PublishAccess.admits(client, topic);
        } catch (BrokerRejectedException e) {
            if (client.userName().isEmpty()) {
                // Who shows nothing is not even let in.
                return false;
            }
            throw e;
        }
    }

    private static String who(String user) {
        return user.isEmpty() ? "anybody" : "user '%s'".formatted(user);
    }
}
