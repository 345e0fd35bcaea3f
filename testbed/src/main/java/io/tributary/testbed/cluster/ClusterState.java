// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import io.tributary.testbed.process.NetnsHosts;
import io.tributary.testbed.process.ProcessIdentity;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What there is of a cluster.
 *
 * @param restPort port of the REST API and the web UI
 * @param rpcPort port where task managers find the job manager
 * @param slots slots of each task manager
 * @param jobManager the job manager's process
 * @param taskManagers the task managers' processes by number, from 1
 * @param network the hosts that they run on, task manager K on host K; empty for this machine
 * @param agents the hosts' node agents by number
 * @param broker the hosts' MQTT broker
 * @param settings what of Flink's configuration is other than usual
 */
public record ClusterState(
        int restPort,
        int rpcPort,
        int slots,
        ProcessIdentity jobManager,
        TreeMap<Integer, TaskManager> taskManagers,
        List<NetnsHosts> network,
        TreeMap<Integer, ProcessIdentity> agents,
        ProcessIdentity broker,
        Map<String, String> settings) {

    public ClusterState {
        // Written by a version without.
        settings = settings == null ? Map.of() : settings;
    }

    /** The hosts that they run on; empty for this machine. */
    public Optional<NetnsHosts> hosts() {
        return network.stream().findAny();
    }

    ClusterState with(ProcessIdentity newJobManager, ProcessIdentity newBroker) {
        return with(newJobManager, newBroker, settings);
    }

    ClusterState with(Map<String, String> newSettings) {
        return with(jobManager, broker, newSettings);
    }

    private ClusterState with(
            ProcessIdentity newJobManager,
            ProcessIdentity newBroker,
            Map<String, String> newSettings) {
        return new ClusterState(
                restPort,
                rpcPort,
                slots,
                newJobManager,
                taskManagers,
                network,
                agents,
                newBroker,
                newSettings);
    }

    /**
     * A task manager.
     *
     * @param id what Flink calls it
     * @param owner its process
     */
    public record TaskManager(String id, ProcessIdentity owner) {}
}
