// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.command;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where something is reached.
 *
 * @param host name or address
 * @param port 1 to 65535
 */
record HostPort(String host, int port) {

    private static final Pattern TEXT = Pattern.compile("([^:\\s]+)(?::([0-9]{1,5}))?");
    private static final int HIGHEST = 65535;

    /**
     * @param option whose value it is
     * @param otherwise the port where none is given
     */
    static HostPort parse(String option, String text, int otherwise) {
        Matcher matcher = TEXT.matcher(text);
        if (matcher.matches()) {
            int port = matcher.group(2) == null ? otherwise : Integer.parseInt(matcher.group(2));
            if (port >= 1 && port <= HIGHEST) {
                return new HostPort(matcher.group(1), port);
            }
        }
        throw new UsageException("%s %s: expected HOST:PORT".formatted(option, text));
    }
}
