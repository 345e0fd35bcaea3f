// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.transport.HostPort;
import java.util.function.Function;

/** Ports and addresses on the command line. */
final class Ports {

    private static final int HIGHEST = 65_535;

    /** Three more ports follow an agent's own. */
    private static final int HIGHEST_OF_AGENT = HIGHEST - 3;

    private Ports() {}

    /** Requires the port of an agent that runs. */
    static int requireAgent(String option, int port) {
        return require(option, port, 1, HIGHEST_OF_AGENT, "");
    }

    /** Requires a port for an agent to listen on. */
    static int requireAgentListening(String option, int port) {
        return require(option, port, 0, HIGHEST_OF_AGENT, ", 0 for any that is free");
    }

    /** Requires a port to listen on. */
    static int requireListening(String option, int port) {
        return require(option, port, 0, HIGHEST, ", 0 for any that is free");
    }

    private static int require(String option, int port, int lowest, int highest, String more) {
        if (port < lowest || port > highest) {
            throw new UsageException(
                    "%s %d: expected a port from %d to %d%s"
                            .formatted(option, port, lowest, highest, more));
        }
        return port;
    }

    /** Reads an address, and names the option where it is none. */
    static HostPort address(String option, String text, Function<String, HostPort> parser) {
        try {
            return parser.apply(text);
        } catch (IllegalArgumentException e) {
            throw new UsageException(option + " " + e.getMessage());
        }
    }
}
