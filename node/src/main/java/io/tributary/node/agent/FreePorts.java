// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/**
 * Ports of the loopback for processes that listen on them a moment later. Thread-safe.
 *
 * <p>They lie below those that the kernel gives to connections (from 32768 on, see {@code
 * ip_local_port_range}), so no connection takes one in the meantime. One process never gets the
 * same port twice, and two processes begin at different places.
 */
public final class FreePorts {

    private static final int FIRST = 20_000;
    private static final int COUNT = 12_000;
    private static final int CLAIM = 10_000;

    /** Kept, because a socket that nobody refers to is closed. */
    private static final Queue<ServerSocket> CLAIMS = new ConcurrentLinkedQueue<>();

    private static final AtomicInteger NEXT =
            new AtomicInteger(ThreadLocalRandom.current().nextInt(COUNT));

    private FreePorts() {}

    /** A port that is free now. */
    public static int next() {
        return next(1);
    }

    /**
     * The first of some ports in a row that are free now.
     *
     * @throws IllegalStateException if there are none
     */
    public static int next(int inARow) {
        for (int i = 0; i < COUNT; i++) {
            int port = FIRST + Math.floorMod(NEXT.getAndAdd(inARow), COUNT);
            if (IntStream.range(port, port + inARow).allMatch(FreePorts::free)) {
                return port;
            }
        }
        throw new IllegalStateException(
                "no port from %d to %d is free on 127.0.0.1".formatted(FIRST, FIRST + COUNT - 1));
    }

    /**
     * The lowest of some ports that is free now, and that no other process was given here: it stays
     * this process's own until that ends, whether somebody listens there or not. Another port,
     * {@link #CLAIM} higher, says so.
     *
     * @throws IllegalStateException if there is none
     */
    public static int lowest(int first, int count) {
        for (int port = first; port < first + count; port++) {
            try {
                CLAIMS.add(listen(port + CLAIM));
                if (free(port)) {
                    return port;
                }
            } catch (IOException claimed) {
                // The next one, then.
            }
        }
        throw new IllegalStateException(
                "no port from %d to %d is free on 127.0.0.1".formatted(first, first + count - 1));
    }

    private static ServerSocket listen(int port) throws IOException {
        return new ServerSocket(port, 1, InetAddress.getLoopbackAddress());
    }

    /** Whether nobody listens on a port of the loopback now. */
    public static boolean free(int port) {
        try (ServerSocket socket = listen(port)) {
            return socket.isBound();
        } catch (IOException taken) {
            return false;
        }
    }
}
