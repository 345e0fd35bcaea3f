// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.net.InetSocketAddress;

/**
 * A node that has joined.
 *
 * @param node its name
 * @param host where others reach it
 * @param port the same
 * @param incarnation higher each time an agent of that name begins
 */
public record Member(String node, String host, int port, long incarnation) {

    InetSocketAddress address() {
        return new InetSocketAddress(host, port);
    }

    /** Address and port. */
    public String place() {
        return host + ":" + port;
    }
}
