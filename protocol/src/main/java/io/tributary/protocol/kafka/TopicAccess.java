// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.kafka;

import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.errors.AuthenticationException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Tells what a client may do with a job's topics. */
public final class TopicAccess {

    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private static final long AGAIN_NANOS = 100_000_000;

    private TopicAccess() {}

    /**
     * Whether a client may write to a job's plans, which only the job is to write. Nothing is
     * written. A topic that the client may not even see counts as one that it may not write to.
     *
     * @throws KafkaUnavailableException when that cannot be told
     */
    public static boolean mayWritePlans(KafkaOptions client, KafkaTopics topics) {
        Properties properties = client.client();
        properties.put("request.timeout.ms", (int) PATIENCE.toMillis());
        properties.put("default.api.timeout.ms", (int) PATIENCE.toMillis());
        try (Admin admin = Admin.create(properties)) {
            TopicDescription plans = describe(admin, topics.rounds());
            return plans.authorizedOperations() == null
                    || plans.authorizedOperations().contains(AclOperation.WRITE);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof AuthorizationException
                    || e.getCause() instanceof AuthenticationException
                    || e.getCause() instanceof UnknownTopicOrPartitionException) {
                return false;
            }
            if (e.getCause() instanceof TimeoutException && !client.properties().isEmpty()) {
                throw new KafkaUnavailableException(client, e.getCause());
            }
            if (e.getCause() instanceof TimeoutException) {
                // A listener that wants to know who it is does not answer who does not say so.
                return false;
            }
            throw new KafkaUnavailableException(client, e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for Kafka", e);
        }
    }

    /** A topic that has just been made is not known to all of Kafka at once. */
    private static TopicDescription describe(Admin admin, String topic)
            throws ExecutionException, InterruptedException {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            try {
                return admin.describeTopics(
                                List.of(topic),
                                new DescribeTopicsOptions().includeAuthorizedOperations(true))
                        .allTopicNames()
                        .get()
                        .get(topic);
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof UnknownTopicOrPartitionException)
                        || System.nanoTime() > end) {
                    throw e;
                }
                LockSupport.parkNanos(AGAIN_NANOS);
            }
        }
    }
}
