// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.transport;

import io.tributary.memory.mailbox.ShmUri;
import io.tributary.testbed.process.AgentProcess;
import io.tributary.testbed.process.BrokerProcess;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.transport.kafka.KafkaOptions;

/**
 * What stands between trainers and job, as a process that can be killed: a broker, or the node
 * agent.
 *
 * @param uri the transport in {@code job.yaml}
 * @param kill kills the process
 * @param restart starts it again
 * @param end ends it for good
 */
public record KillableService(String uri, Runnable kill, Runnable restart, Runnable end)
        implements AutoCloseable {

    /** An MQTT broker, which forgets everything when it is killed. */
    static KillableService of(BrokerProcess broker) {
        return new KillableService(broker.url(), broker::kill, broker::restart, broker::close);
    }

    /** A Kafka broker, which remembers. */
    static KillableService of(KafkaProcess kafka) {
        return new KillableService(
                KafkaOptions.SCHEME + "://" + kafka.options().bootstrapServers(),
                kafka::kill,
                kafka::restart,
                kafka::close);
    }

    /** A node agent. */
    static KillableService of(AgentProcess agent) {
        return new KillableService(
                "%s:?agent-port=%d".formatted(ShmUri.SCHEME, agent.port()),
                agent::kill,
                agent::restart,
                agent::close);
    }

    /** What the hosts of a cluster have themselves; it comes and goes with them. */
    public static KillableService ofCluster(String uri) {
        Runnable notOurs =
                () -> {
                    throw new UnsupportedOperationException("it is the cluster's");
                };
        return new KillableService(uri, notOurs, notOurs, () -> {});
    }

    @Override
    public void close() {
        end.run();
    }
}
