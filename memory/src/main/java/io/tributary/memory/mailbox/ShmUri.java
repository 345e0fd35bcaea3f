// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.mailbox;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The address of shared memory: {@code shm:[DIRECTORY][?agent-port=PORT]}. Immutable.
 *
 * @param directory the region directory; empty for the default one
 * @param agentPort the node agent's port on 127.0.0.1, 1 to 65532
 */
public record ShmUri(Optional<String> directory, int agentPort) {

    /** What the address begins with, before the colon. */
    public static final String SCHEME = "shm";

    private static final int HIGHEST_AGENT_PORT = 65_532;
    private static final Pattern TEXT =
            Pattern.compile(SCHEME + ":(/[^?]*)?(?:\\?agent-port=([0-9]{1,5}))?");

    /**
     * Reads an address.
     *
     * @throws IllegalArgumentException when it is something else
     */
    public static ShmUri parse(String text) {
        Matcher matcher = TEXT.matcher(text);
        if (matcher.matches()) {
            int port =
                    matcher.group(2) == null
                            ? Mailbox.DEFAULT_PORT
                            : Integer.parseInt(matcher.group(2));
            if (port >= 1 && port <= HIGHEST_AGENT_PORT) {
                return new ShmUri(Optional.ofNullable(matcher.group(1)), port);
            }
        }
        throw new IllegalArgumentException(
                "'%s': expected shm:[/DIRECTORY][?agent-port=PORT], a port from 1 to %d"
                        .formatted(text, HIGHEST_AGENT_PORT));
    }

    @Override
    public String toString() {
        return "%s:%s%s"
                .formatted(
                        SCHEME,
                        directory.orElse(""),
                        agentPort == Mailbox.DEFAULT_PORT ? "" : "?agent-port=" + agentPort);
    }
}
