// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.agent;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
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

    /** Whether nobody listens on a port of the loopback now. */
    public static boolean free(int port) {
        try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
            return socket.isBound();
        } catch (IOException taken) {
            return false;
        }
    }
}
