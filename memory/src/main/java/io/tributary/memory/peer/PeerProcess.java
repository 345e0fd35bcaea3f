// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.peer;

import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;
import java.util.Optional;

/**
 * Whose socket is at the other end of a connection over the loopback, as the kernel says now.
 *
 * @param user id of the user who made the socket
 * @param cookie what the kernel knows the socket by; never that of another socket
 */
public record PeerProcess(int user, long cookie) {

    /**
     * Finds the other end of an accepted connection, by both addresses: each address of the
     * loopback has all ports, and a port may be given to somebody else at once.
     *
     * @return empty where the other end has gone, or does not speak IPv4
     */
    public static Optional<PeerProcess> find(SocketChannel accepted) throws IOException {
        InetSocketAddress client = (InetSocketAddress) accepted.getRemoteAddress();
        InetSocketAddress server = (InetSocketAddress) accepted.getLocalAddress();
        return client.getAddress() instanceof Inet4Address
                ? SocketDiag.find(client, server)
                : Optional.empty();
    }

    /**
     * @throws IOException with what to do, when this kernel cannot tell who is at a connection
     */
    public static void requireSupport() throws IOException {
        InetSocketAddress nowhere = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        SocketDiag.find(nowhere, nowhere);
    }
}
