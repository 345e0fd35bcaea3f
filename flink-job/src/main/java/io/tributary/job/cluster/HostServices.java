// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import io.tributary.job.config.JobOptions;
import io.tributary.job.process.AgentProcess;
import io.tributary.job.process.BrokerProcess;
import io.tributary.job.process.Hosts;
import io.tributary.job.process.JavaProcess;
import io.tributary.shm.mailbox.Mailbox;
import io.tributary.shm.node.Node;
import io.tributary.shm.region.Owner;
import java.io.IOException;
import java.net.Socket;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * What hosts have besides Flink: each a node agent, the first an MQTT broker.
 *
 * @param directory for logs, and the secret that the nodes share
 * @param hosts the hosts
 */
record HostServices(Path directory, Hosts hosts) {

    private static final long START_SECONDS = 60;

    /** Starts an agent, and returns when its node can be reached. */
    Owner startAgent(int number) {
        Hosts.Host host = hosts.host(number);
        AgentProcess agent =
                AgentProcess.start(
                        directory.resolve("log"),
                        Path.of(JobOptions.REGIONS.defaultValue()),
                        directory.resolve("node.secret"),
                        hosts,
                        host);
        Owner owner = Owner.of(agent.pid());
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (!listens(host)) {
            if (!owner.alive() || System.nanoTime() > end) {
                throw new IllegalStateException(
                        "the agent of host %d does not start:\n%s"
                                .formatted(number, agent.logTail()));
            }
            JavaProcess.pause();
        }
        return owner;
    }

    private static boolean listens(Hosts.Host host) {
        try (Socket socket =
                new Socket(host.address(), Mailbox.DEFAULT_PORT + Node.LISTEN_OFFSET)) {
            return socket.isConnected();
        } catch (IOException e) {
            return false;
        }
    }

    /** Starts the broker, and returns when it listens. */
    Owner startBroker() {
        return Owner.of(BrokerProcess.start(directory.resolve("log"), hosts.host(1)).pid());
    }
}
