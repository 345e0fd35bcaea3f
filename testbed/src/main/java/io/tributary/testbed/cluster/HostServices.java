// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import io.tributary.job.config.JobOptions;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.testbed.process.AgentProcess;
import io.tributary.testbed.process.BrokerProcess;
import io.tributary.testbed.process.NetnsHosts;
import io.tributary.testbed.process.ProcessIdentity;
import java.nio.file.Path;

/**
 * What hosts have besides Flink: each a node agent, the first an MQTT broker.
 *
 * @param directory for logs, and the secret that the nodes share
 * @param hosts the hosts
 */
record HostServices(Path directory, NetnsHosts hosts) {

    /** Starts an agent, and returns when its node can be reached. */
    ProcessIdentity startAgent(int number) {
        AgentProcess agent =
                AgentProcess.start(
                        directory.resolve("log"),
                        TrustedDirectory.of(JobOptions.REGIONS.defaultValue()),
                        directory.resolve("node.secret"),
                        hosts,
                        hosts.host(number));
        agent.awaitNode();
        return ProcessIdentity.of(agent.pid());
    }

    /** Starts the broker, and returns when it listens. */
    ProcessIdentity startBroker() {
        return ProcessIdentity.of(
                BrokerProcess.start(directory.resolve("log"), hosts.host(1)).pid());
    }
}
