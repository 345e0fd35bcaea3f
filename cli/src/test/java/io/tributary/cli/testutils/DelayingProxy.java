// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.testutils;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Carries TCP to a server on the loopback; what the server says comes as much later. Connections
 * can be silenced, as by a host that is gone without a word.
 */
public final class DelayingProxy implements AutoCloseable {

    private final ServerSocket listening;
    private final int to;
    private final long delayNanos;
    private final List<Socket> open = new CopyOnWriteArrayList<>();
    private final List<AtomicBoolean> silent = new CopyOnWriteArrayList<>();

    private record Piece(byte[] bytes, long due) {}

    public DelayingProxy(int to, long delayMillis) throws IOException {
        this.to = to;
        this.delayNanos = TimeUnit.MILLISECONDS.toNanos(delayMillis);
        this.listening = new ServerSocket(0, 10, InetAddress.getLoopbackAddress());
        start(this::accept);
    }

    public int port() {
        return listening.getLocalPort();
    }

    /** From now on nothing of the connections that there are arrives; new ones are carried. */
    public void silence() {
        silent.forEach(connection -> connection.set(true));
    }

    private interface Work {
        void run() throws IOException, InterruptedException;
    }

    private static void start(Work work) {
        Thread thread =
                new Thread(
                        () -> {
                            try {
                                work.run();
                            } catch (IOException | InterruptedException over) {
                                // One side has ended.
                            }
                        });
        thread.setDaemon(true);
        thread.start();
    }

    private void accept() throws IOException {
        while (true) {
            Socket client = listening.accept();
            Socket server = new Socket(InetAddress.getLoopbackAddress(), to);
            client.setTcpNoDelay(true);
            server.setTcpNoDelay(true);
            open.add(client);
            open.add(server);
            AtomicBoolean gone = new AtomicBoolean();
            silent.add(gone);
            carry(client, server, 0, gone);
            carry(server, client, delayNanos, gone);
        }
    }

    private static void carry(Socket from, Socket to, long delayNanos, AtomicBoolean gone) {
        BlockingQueue<Piece> pieces = new LinkedBlockingQueue<>();
        start(() -> read(from.getInputStream(), delayNanos, pieces));
        start(() -> write(pieces, to.getOutputStream(), gone));
    }

    private static void read(InputStream in, long delayNanos, BlockingQueue<Piece> pieces)
            throws IOException {
        byte[] buffer = new byte[65536];
        for (int n = in.read(buffer); n > 0; n = in.read(buffer)) {
            pieces.add(
                    new Piece(java.util.Arrays.copyOf(buffer, n), System.nanoTime() + delayNanos));
        }
    }

    private static void write(BlockingQueue<Piece> pieces, OutputStream out, AtomicBoolean gone)
            throws IOException, InterruptedException {
        while (true) {
            Piece piece = pieces.take();
            TimeUnit.NANOSECONDS.sleep(piece.due() - System.nanoTime());
            if (!gone.get()) {
                out.write(piece.bytes());
            }
        }
    }

    @Override
    public void close() throws IOException {
        listening.close();
        for (Socket socket : open) {
            socket.close();
        }
    }
}
