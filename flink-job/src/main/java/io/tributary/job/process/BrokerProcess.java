// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.process;

import io.tributary.job.demo.EmbeddedBroker;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** An MQTT broker in a process of its own, that can be killed and started again on its port. */
public final class BrokerProcess implements AutoCloseable {

    private static final long START_SECONDS = 60;

    private final Path directory;
    private final int port = EmbeddedBroker.freePort();
    private JavaProcess process;

    private BrokerProcess(Path directory) {
        this.directory = directory;
    }

    /** The broker itself; argument: its port. */
    public static void main(String[] args) throws InterruptedException {
        try (EmbeddedBroker ignored = EmbeddedBroker.start(Integer.parseInt(args[0]))) {
            Thread.currentThread().join();
        }
    }

    /** Starts a broker on a free port. */
    public static BrokerProcess start(Path directory) {
        BrokerProcess broker = new BrokerProcess(directory);
        broker.restart();
        return broker;
    }

    /** Starts it again, and returns when it listens. */
    public void restart() {
        process =
                JavaProcess.start(
                        JavaProcess.Command.here(
                                List.of(
                                        "-Xmx512m",
                                        "-Dtributary.log=" + directory.resolve("broker.log")),
                                BrokerProcess.class.getName(),
                                List.of(Integer.toString(port))),
                        directory.resolve("broker.out"));
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (!listens()) {
            if (!process.alive() || System.nanoTime() > end) {
                throw new IllegalStateException("the broker does not start:\n" + process.logTail());
            }
            process.await(0);
            Thread.onSpinWait();
        }
    }

    private boolean listens() {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
            return socket.isConnected();
        } catch (IOException e) {
            return false;
        }
    }

    /** Where it listens. */
    public String url() {
        return "tcp://127.0.0.1:" + port;
    }

    /** Ends it as a crash would. */
    public void kill() {
        process.kill();
    }

    @Override
    public void close() {
        process.close();
    }
}
