// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.peer;

import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Who is at the other end of a connection over the loopback, as the kernel says.
 *
 * @param user id of the user who made the socket
 * @param inode the socket's own number
 * @param cookie what the kernel knows the socket by; never that of another socket
 */
public record PeerProcess(int user, long inode, long cookie) {

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

    /**
     * The process that has the socket; 0 where this process may not see that. It is only shown,
     * never decided by, and to find it takes a look at all processes.
     */
    public long pid() {
        String wanted = "socket:[" + inode + "]";
        try (DirectoryStream<Path> processes =
                Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path process : processes) {
                if (has(process.resolve("fd"), wanted)) {
                    return Long.parseLong(process.getFileName().toString());
                }
            }
        } catch (IOException e) {
            // Not to be seen.
        }
        return 0;
    }

    private static boolean has(Path descriptors, String wanted) {
        try (DirectoryStream<Path> all = Files.newDirectoryStream(descriptors)) {
            for (Path descriptor : all) {
                if (Files.readSymbolicLink(descriptor).toString().equals(wanted)) {
                    return true;
                }
            }
        } catch (IOException e) {
            // Another user's process, or one that has just ended.
        }
        return false;
    }
}
