// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.kafka;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.ClientDnsLookup;
import org.apache.kafka.clients.ClientUtils;
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
     * Whether a client may write what only the job is to write: plans, models or receipts. Nothing
     * is written. A topic that the client may not even see counts as one that it may not write to.
     *
     * @throws KafkaUnavailableException when that cannot be told
     */
    public static boolean maySpeakForJob(KafkaOptions client, KafkaTopics topics) {
        Properties properties = client.client();
        properties.put("request.timeout.ms", (int) PATIENCE.toMillis());
        properties.put("default.api.timeout.ms", (int) PATIENCE.toMillis());
        try (Admin admin = Admin.create(properties)) {
            for (String topic : List.of(topics.rounds(), topics.model(), topics.receipts())) {
                if (mayWrite(admin, client, topic)) {
                    return true;
                }
            }
            return false;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for Kafka", e);
        }
    }

    private static boolean mayWrite(Admin admin, KafkaOptions client, String topic)
            throws InterruptedException {
        try {
            Set<AclOperation> operations = describe(admin, topic).authorizedOperations();
            return operations == null || operations.contains(AclOperation.WRITE);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof AuthorizationException
                    || e.getCause() instanceof AuthenticationException) {
                return false;
            }
            if (e.getCause() instanceof UnknownTopicOrPartitionException) {
                throw new KafkaUnavailableException(
                        "Kafka at %s has no topic %s, so it knows no rules for it; the job makes it when it is submitted"
                                .formatted(client, topic),
                        e.getCause());
            }
            if (e.getCause() instanceof TimeoutException
                    && client.properties().isEmpty()
                    && listens(client)) {
                // A listener that wants to know who it is does not answer who does not say so.
                return false;
            }
            throw new KafkaUnavailableException(client, e.getCause());
        }
    }

    private static boolean listens(KafkaOptions client) {
        return ClientUtils.parseAndValidateAddresses(
                        List.of(client.bootstrapServers().split(",")),
                        ClientDnsLookup.USE_ALL_DNS_IPS)
                .stream()
                .anyMatch(TopicAccess::listens);
    }

    private static boolean listens(InetSocketAddress address) {
        try (Socket socket = new Socket()) {
            socket.connect(address, (int) PATIENCE.toMillis());
            return true;
        } catch (IOException e) {
            return false;
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
