// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.job.config.JobOptions.TransportType;
import io.tributary.testbed.process.AgentProcess;
import io.tributary.testbed.process.BrokerProcess;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.testbed.process.NetnsHosts;
import java.nio.file.Path;

/** What stands between trainers and job: a broker, or the node agent. */
interface KillableService extends AutoCloseable {

    /** The transport in {@code job.yaml}. */
    String yaml();

    void kill();

    void restart();

    @Override
    void close();

    static KillableService start(TransportType transport, Path work, Path regions) {
        return switch (transport) {
            case MQTT -> new Mqtt(BrokerProcess.start(work.resolve("broker")));
            case KAFKA -> new Kafka(KafkaProcess.start(work.resolve("kafka")));
            case SHM -> new Agent(AgentProcess.start(work, regions));
        };
    }

    /** What the hosts of a cluster have themselves. */
    static KillableService of(TransportType transport, NetnsHosts hosts) {
        return new OfCluster(
                transport == TransportType.SHM
                        ? "type: shm"
                        : "type: mqtt\nmqtt.broker: tcp://%s:1883"
                                .formatted(hosts.host(1).address()));
    }

    /**
     * It comes and goes with the cluster.
     *
     * @param yaml the transport
     */
    record OfCluster(String yaml) implements KillableService {

        @Override
        public void kill() {
            throw new UnsupportedOperationException("it is the cluster's");
        }

        @Override
        public void restart() {
            throw new UnsupportedOperationException("it is the cluster's");
        }

        @Override
        public void close() {
            // The cluster ends it.
        }
    }

    /**
     * An MQTT broker, which forgets everything when it is killed.
     *
     * @param broker it
     */
    record Mqtt(BrokerProcess broker) implements KillableService {

        @Override
        public String yaml() {
            return "type: mqtt\nmqtt.broker: " + broker.url();
        }

        @Override
        public void kill() {
            broker.kill();
        }

        @Override
        public void restart() {
            broker.restart();
        }

        @Override
        public void close() {
            broker.close();
        }
    }

    /**
     * A Kafka broker, which remembers.
     *
     * @param kafka it
     */
    record Kafka(KafkaProcess kafka) implements KillableService {

        @Override
        public String yaml() {
            return "type: kafka\nkafka.bootstrap-servers: " + kafka.options().bootstrapServers();
        }

        @Override
        public void kill() {
            kafka.kill();
        }

        @Override
        public void restart() {
            kafka.restart();
        }

        @Override
        public void close() {
            kafka.close();
        }
    }

    /**
     * A node agent.
     *
     * @param agent it
     */
    record Agent(AgentProcess agent) implements KillableService {

        @Override
        public String yaml() {
            return "type: shm\nshm.agent-port: " + agent.port();
        }

        @Override
        public void kill() {
            agent.kill();
        }

        @Override
        public void restart() {
            agent.restart();
        }

        @Override
        public void close() {
            agent.close();
        }
    }
}
