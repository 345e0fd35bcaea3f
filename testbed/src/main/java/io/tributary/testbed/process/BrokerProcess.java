// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import io.tributary.node.agent.FreePorts;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** An MQTT broker in a process of its own, that can be killed and started again on its port. */
public final class BrokerProcess implements AutoCloseable {

    private static final int MQTT_PORT = 1883;

    private final Path directory;
    private final String address;
    private final int port;
    private final Optional<NetnsHosts.Host> host;
    private ChildProcess process;

    private BrokerProcess(
            Path directory, String address, int port, Optional<NetnsHosts.Host> host) {
        this.directory = directory;
        this.address = address;
        this.port = port;
        this.host = host;
    }

    /** The broker itself; arguments: its address and port. */
    public static void main(String[] args) throws InterruptedException {
        try (EmbeddedBroker ignored = EmbeddedBroker.start(args[0], Integer.parseInt(args[1]))) {
            Thread.currentThread().join();
        }
    }

    /** Starts a broker on a free port. */
    public static BrokerProcess start(Path directory) {
        BrokerProcess broker =
                new BrokerProcess(directory, "127.0.0.1", FreePorts.next(), Optional.empty());
        broker.restart();
        return broker;
    }

    /** Starts a broker on a host, on MQTT's own port. */
    public static BrokerProcess start(Path directory, NetnsHosts.Host host) {
        BrokerProcess broker =
                new BrokerProcess(directory, host.address(), MQTT_PORT, Optional.of(host));
        broker.restart();
        return broker;
    }

    /** Starts it again, and returns when it listens. */
    public void restart() {
        JavaProcess.Command command =
                JavaProcess.Command.here(
                        List.of("-Xmx512m", "-Dtributary.log=" + directory.resolve("broker.log")),
                        BrokerProcess.class.getName(),
                        List.of(address, Integer.toString(port)));
        process =
                JavaProcess.start(
                        host.map(command::on).orElse(command), directory.resolve("broker.out"));
        process.awaitListening(address, port, "the broker");
    }

    /** Where it listens. */
    public String url() {
        return "mqtt://%s:%d".formatted(address, port);
    }

    /** Its process. */
    public long pid() {
        return process.pid();
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
