// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport;

import io.tributary.protocol.ShortText;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where something is reached: the one reader of addresses. An IPv6 address stands in brackets, as
 * in {@code [::1]:1883} (RFC 3986, section 3.2.2). Immutable.
 *
 * @param host a name, an IPv4 address, or an IPv6 address without its brackets
 * @param port 0 to 65535
 */
public record HostPort(String host, int port) implements Serializable {

    private static final int HIGHEST_PORT = 65_535;
    private static final Pattern TEXT =
            Pattern.compile(
                    "(?:\\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?)]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?");

    /**
     * Reads {@code HOST:PORT}.
     *
     * @param text with a port from 1 to 65535
     * @throws IllegalArgumentException when it is something else
     */
    public static HostPort parse(String text) {
        return parse(text, OptionalInt.empty(), 1);
    }

    /**
     * Reads {@code HOST} or {@code HOST:PORT}.
     *
     * @param otherwise the port where none is given
     * @throws IllegalArgumentException when it is something else
     */
    public static HostPort parse(String text, int otherwise) {
        return parse(text, OptionalInt.of(otherwise), 1);
    }

    /** The same for an address to listen on, where port 0 means any that is free. */
    public static HostPort parseListening(String text, int otherwise) {
        return parse(text, OptionalInt.of(otherwise), 0);
    }

    /** Reads several, separated by commas. */
    public static List<HostPort> parseAll(String text) {
        return Arrays.stream(text.split(",", -1)).map(HostPort::parse).toList();
    }

    private static HostPort parse(String text, OptionalInt otherwise, int lowest) {
        Matcher matcher = TEXT.matcher(text);
        if (matcher.matches() && (matcher.group(3) != null || otherwise.isPresent())) {
            int port =
                    matcher.group(3) == null
                            ? otherwise.getAsInt()
                            : Integer.parseInt(matcher.group(3));
            if (port >= lowest && port <= HIGHEST_PORT) {
                return new HostPort(
                        matcher.group(1) == null ? matcher.group(2) : matcher.group(1), port);
            }
        }
        throw new IllegalArgumentException(
                "'%s': expected %s with a port from %d to %d; an IPv6 address stands in brackets"
                        .formatted(
                                ShortText.of(text, 200),
                                otherwise.isPresent() ? "HOST[:PORT]" : "HOST:PORT",
                                lowest,
                                HIGHEST_PORT));
    }

    /** The host as it stands in a URL. */
    public String urlHost() {
        return host.contains(":") ? "[" + host + "]" : host;
    }

    /** As it is read. */
    @Override
    public String toString() {
        return urlHost() + ":" + port;
    }
}
