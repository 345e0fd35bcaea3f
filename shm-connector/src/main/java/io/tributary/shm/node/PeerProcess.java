// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Who is at the other end of a connection over the loopback, as the kernel says.
 *
 * @param user id of the user who made the socket
 * @param pid the process that has it; 0 where this process may not see that
 */
public record PeerProcess(int user, long pid) {

    private static final String LOOPBACK = "0100007F";
    private static final String MAPPED_LOOPBACK = "0000000000000000FFFF00000100007F";
    private static final int LOCAL = 1;
    private static final int REMOTE = 2;
    private static final int USER = 7;
    private static final int INODE = 9;

    /**
     * Finds it in {@code /proc/net/tcp} or, for a client whose socket is IPv6 with an IPv4 address
     * in it, in {@code /proc/net/tcp6}.
     *
     * @param clientPort the other end's port
     * @param serverPort this end's port
     */
    public static Optional<PeerProcess> find(int clientPort, int serverPort) throws IOException {
        Optional<PeerProcess> found =
                find(Path.of("/proc/net/tcp"), LOOPBACK, clientPort, serverPort);
        Path six = Path.of("/proc/net/tcp6");
        return found.isPresent() || !Files.exists(six)
                ? found
                : find(six, MAPPED_LOOPBACK, clientPort, serverPort);
    }

    private static Optional<PeerProcess> find(
            Path table, String loopback, int clientPort, int serverPort) throws IOException {
        String local = "%s:%04X".formatted(loopback, clientPort);
        String remote = "%s:%04X".formatted(loopback, serverPort);
        return Files.readAllLines(table).stream()
                .map(line -> line.strip().split("\\s+"))
                .filter(f -> f.length > INODE && f[LOCAL].equals(local) && f[REMOTE].equals(remote))
                .findFirst()
                .map(f -> new PeerProcess(Integer.parseInt(f[USER]), pid(f[INODE])));
    }

    private static long pid(String inode) {
        String wanted = "socket:[" + inode + "]";
        try (DirectoryStream<Path> processes =
                Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path process : processes) {
                if (has(process.resolve("fd"), wanted)) {
                    return Long.parseLong(process.getFileName().toString());
                }
            }
        } catch (IOException e) {
            // Not to be seen; it is only shown, never decided by.
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
