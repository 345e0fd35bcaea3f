// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.kafka;

import io.tributary.transport.kafka.KafkaTopics.Wanted;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Makes a job's topics where they are missing, and looks at the settings of those that are not. */
public final class TopicSetup {

    private static final Logger LOG = LoggerFactory.getLogger(TopicSetup.class);

    private static final int MAX_TRIES = 50;

    /** Another task may just have made it, or somebody changed it. */
    private static final int MAX_TRIES_OF_OTHERS = 20;

    private static final long PAUSE_MILLIS = 100;

    private TopicSetup() {}

    /**
     * @return the topics that were made
     * @throws WrongTopicException when a topic has settings with which the job cannot work, with
     *     what to do
     * @throws KafkaUnavailableException when Kafka does not answer
     */
    public static List<String> ensure(KafkaOptions kafka, KafkaTopics topics) {
        try (Admin admin = Admin.create(kafka.admin())) {
            Set<String> there = admin.listTopics().names().get();
            List<String> made = new ArrayList<>();
            for (Wanted wanted : topics.all()) {
                if (!there.contains(wanted.name()) && make(admin, wanted)) {
                    made.add(wanted.name());
                }
            }
            if (!made.isEmpty()) {
                LOG.info("made topics {}", made);
            }
            awaitAndCheck(admin, topics.all(), Set.copyOf(made));
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

    /**
     * A topic that has just been made is not known to all of Kafka at once, its settings and
     * partitions even later: until then it is not there for who reads or writes it.
     *
     * @param made those of which that is so
     */
    private static void awaitAndCheck(Admin admin, List<Wanted> all, Set<String> made)
            throws ExecutionException, InterruptedException {
        for (int tries = 1; ; tries++) {
            try {
                check(admin, all, made);
                return;
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof UnknownTopicOrPartitionException)
                        || tries == MAX_TRIES) {
                    throw e;
                }
            } catch (WrongTopicException e) {
                if (tries >= (made.contains(e.topic()) ? MAX_TRIES : MAX_TRIES_OF_OTHERS)) {
                    throw e;
                }
            }
            Thread.sleep(PAUSE_MILLIS);
        }
    }

    private static void check(Admin admin, List<Wanted> all, Set<String> made)
            throws ExecutionException, InterruptedException {
        Map<String, TopicDescription> described =
                admin.describeTopics(all.stream().map(Wanted::name).toList()).allTopicNames().get();
        List<ConfigResource> resources = all.stream().map(w -> resource(w.name())).toList();
        Map<ConfigResource, Config> found = admin.describeConfigs(resources).all().get();
        for (Wanted wanted : all) {
            int partitions = described.get(wanted.name()).partitions().size();
            if (made.contains(wanted.name()) && partitions < wanted.partitions()) {
                throw new WrongTopicException(
                        wanted.name(),
                        "partitions = " + partitions,
                        Integer.toString(wanted.partitions()));
            }
            Config config = found.get(resource(wanted.name()));
            for (Map.Entry<String, String> setting : wanted.settings().entrySet()) {
                String is = config.get(setting.getKey()).value();
                if (!suffices(setting.getKey(), is, setting.getValue())) {
                    throw new WrongTopicException(
                            wanted.name(),
                            "%s = %s".formatted(setting.getKey(), is),
                            setting.getValue());
                }
            }
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
