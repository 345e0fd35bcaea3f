// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.job.cluster.FlinkRest;
import io.tributary.testbed.cluster.LocalCluster;
import io.tributary.transport.HostPort;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/** Which Flink cluster is meant, on the command line. */
final class ClusterAddress {

    @Option(
            names = "--cluster",
            paramLabel = "HOST:PORT",
            description = "REST address of the cluster. Default: the one of 'cluster start'.")
    private Optional<String> address;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            defaultValue = ClusterCommand.DIRECTORY,
            description = "Directory of the cluster, without --cluster. Default: ${DEFAULT-VALUE}.")
    private Path directory;

    /** Where a cluster of this machine is; empty where an address was given. */
    Optional<Path> directory() {
        return address.isPresent() ? Optional.empty() : Optional.of(directory);
    }

    /** The cluster there. */
    Optional<LocalCluster> local() {
        return directory().map(LocalCluster::new);
    }

    /** Whether a cluster is named by its address. */
    boolean given() {
        return address.isPresent();
    }

    FlinkRest rest() {
        return address.map(text -> Ports.address("--cluster", text, HostPort::parse))
                .map(at -> new FlinkRest(at.toString()))
                .orElseGet(() -> new LocalCluster(directory).rest());
    }
}
