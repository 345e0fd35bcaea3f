// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.command;

import io.tributary.shm.mailbox.Mailbox;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Where shared memory is, on the command line. */
final class ShmArguments {

    /** The region directory unless another is given. */
    static final String DIRECTORY = "/dev/shm/tributary";

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            defaultValue = DIRECTORY,
            description = "The region directory. Default: ${DEFAULT-VALUE}.")
    private Path directory;

    @Option(
            names = "--agent-port",
            paramLabel = "PORT",
            defaultValue = "" + Mailbox.DEFAULT_PORT,
            description = "The node agent's port. Default: ${DEFAULT-VALUE}.")
    private int agentPort;

    Path directory() {
        return directory;
    }

    int agentPort() {
        return agentPort;
    }
}
