// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The groups of this host's users, as {@code id -G} says, which knows whatever user database there
 * is. What was found out is believed for a while. Thread-safe.
 */
final class UserGroups {

    private static final Logger LOG = LoggerFactory.getLogger(UserGroups.class);
    private static final long BELIEVED_NANOS = Duration.ofSeconds(30).toNanos();

    private final Map<Integer, Found> found = new ConcurrentHashMap<>();

    private record Found(Set<Integer> groups, long nanos) {}

    /** Ids of a user's groups; none where there is no such user. */
    Set<Integer> of(int user) {
        Found before = found.get(user);
        if (before != null && System.nanoTime() - before.nanos() < BELIEVED_NANOS) {
            return before.groups();
        }
        Set<Integer> groups = ask(user);
        found.put(user, new Found(groups, System.nanoTime()));
        return groups;
    }

    private static Set<Integer> ask(int user) {
        try {
            Process id = new ProcessBuilder("id", "-G", "+" + user).start();
            String groups =
                    new String(id.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            return id.waitFor() == 0 && !groups.isEmpty()
                    ? Arrays.stream(groups.split(" "))
                            .map(Integer::parseUnsignedInt)
                            .collect(Collectors.toSet())
                    : Set.of();
        } catch (IOException | NumberFormatException e) {
            LOG.warn("the groups of user {} are not known: {}", user, e.getMessage());
            return Set.of();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Set.of();
        }
    }
}
