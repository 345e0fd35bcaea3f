// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.kafka;

import io.tributary.protocol.kafka.KafkaTopics.Wanted;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Makes a job's topics where they are missing, and looks at the settings of those that are not. */
public final class TopicSetup {

    private static final Logger LOG = LoggerFactory.getLogger(TopicSetup.class);

    private static final int MAX_TRIES = 50;
    private static final long PAUSE_MILLIS = 100;

    private TopicSetup() {}

    /**
     * @return the topics that were made
     * @throws IllegalArgumentException when a topic has settings with which the job cannot work,
     *     with what to do
     * @throws KafkaUnavailableException when Kafka does not answer
     */
    public static List<String> ensure(KafkaOptions kafka, KafkaTopics topics) {
        try (Admin admin = Admin.create(kafka.client())) {
            Set<String> there = admin.listTopics().names().get();
            List<String> made = new ArrayList<>();
            List<Wanted> old = new ArrayList<>();
            for (Wanted wanted : topics.all()) {
                if (there.contains(wanted.name()) || !make(admin, wanted)) {
                    old.add(wanted);
                } else {
                    made.add(wanted.name());
                }
            }
            if (!made.isEmpty()) {
                LOG.info("made topics {}", made);
            }
            awaitAndCheck(admin, old);
            return made;
        } catch (ExecutionException e) {
            throw new KafkaUnavailableException(kafka, e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for Kafka", e);
        }
    }

    private static boolean make(Admin admin, Wanted wanted)
            throws ExecutionException, InterruptedException {
        NewTopic topic =
                new NewTopic(wanted.name(), Optional.of(wanted.partitions()), Optional.empty())
                        .configs(wanted.settings());
        try {
            admin.createTopics(List.of(topic)).all().get();
            return true;
        } catch (ExecutionException e) {
            if (e.getCause() instanceof TopicExistsException) {
                // Another subtask was quicker.
                return false;
            }
            throw e;
        }
    }

    /** A topic that another subtask has just made is not known to all of the broker at once. */
    private static void awaitAndCheck(Admin admin, List<Wanted> all)
            throws ExecutionException, InterruptedException {
        for (int tries = 1; ; tries++) {
            try {
                check(admin, all);
                return;
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof UnknownTopicOrPartitionException)
                        || tries == MAX_TRIES) {
                    throw e;
                }
                Thread.sleep(PAUSE_MILLIS);
            }
        }
    }

    private static void check(Admin admin, List<Wanted> all)
            throws ExecutionException, InterruptedException {
        List<ConfigResource> resources = all.stream().map(w -> resource(w.name())).toList();
        Map<ConfigResource, Config> found = admin.describeConfigs(resources).all().get();
        for (Wanted wanted : all) {
            Config config = found.get(resource(wanted.name()));
            wanted.settings()
                    .forEach(
                            (key, value) -> {
                                String is = config.get(key).value();
                                if (!suffices(key, is, value)) {
                                    throw new IllegalArgumentException(
                                            "topic '%s' has %s = %s, expected %s; alter it with kafka-configs, or delete the topic and it will be made anew"
                                                    .formatted(wanted.name(), key, is, value));
                                }
                            });
        }
    }

    private static boolean suffices(String key, String found, String wanted) {
        return key.equals("max.message.bytes")
                ? Long.parseLong(found) >= Long.parseLong(wanted)
                : List.of(found.split(",")).contains(wanted);
    }

    private static ConfigResource resource(String topic) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }
}
