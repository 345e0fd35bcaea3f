// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import com.hivemq.embedded.EmbeddedHiveMQ;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.node.agent.FreePorts;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;

/** A HiveMQ Community Edition broker in this process, on 127.0.0.1, without persistence. */
public final class EmbeddedBroker implements AutoCloseable {

    private final WorkDirectory directory;
    private final String url;
    private final int port;
    private final EmbeddedHiveMQ broker;
    private final AtomicBoolean closed = new AtomicBoolean();

    private EmbeddedBroker(WorkDirectory directory, String url, int port, EmbeddedHiveMQ broker) {
        this.url = url;
        this.directory = directory;
        this.port = port;
        this.broker = broker;
    }

    /** Starts a broker on a free port. */
    public static EmbeddedBroker start() {
        return start(FreePorts.next());
    }

    /** Starts a broker on a port. */
    public static EmbeddedBroker start(int port) {
        return start("127.0.0.1", port);
    }

    /** Starts a broker on an address and a port. */
    public static EmbeddedBroker start(String address, int port) {
        return start(
                "mqtt://%s:%d".formatted(address, port),
                port,
                """
                <tcp-listener>
                  <port>%d</port>
                  <bind-address>%s</bind-address>
                </tcp-listener>"""
                        .formatted(port, address));
    }

    /** Starts a broker that speaks over WebSocket. */
    public static EmbeddedBroker startWebSocket(int port) {
        return start(
                "ws://127.0.0.1:%d/mqtt".formatted(port),
                port,
                """
                <websocket-listener>
                  <port>%d</port>
                  <bind-address>127.0.0.1</bind-address>
                  <path>/mqtt</path>
                  <subprotocols><subprotocol>mqtt</subprotocol></subprotocols>
                  <allow-extensions>true</allow-extensions>
                </websocket-listener>"""
                        .formatted(port));
    }

    private static EmbeddedBroker start(String url, int port, String listener) {
        WorkDirectory directory = WorkDirectory.create("broker");
        try {
            Path configuration = directory.directory("conf");
            Files.writeString(configuration.resolve("config.xml"), config(listener));
            EmbeddedHiveMQ broker =
                    EmbeddedHiveMQ.builder()
                            .withConfigurationFolder(configuration)
                            .withDataFolder(directory.directory("data"))
                            .withExtensionsFolder(directory.directory("extensions"))
                            .withoutLoggingBootstrap()
                            .build();
            broker.start().join();
            return new EmbeddedBroker(directory, url, port, broker);
        } catch (IOException e) {
            throw new UncheckedIOException("the broker cannot be configured", e);
        }
    }

    private static String config(String listener) {
        return """
                <?xml version="1.0"?>
                <hivemq>
                  <listeners>
                %s
                  </listeners>
                  <mqtt>
                    <queued-messages><max-queue-size>500</max-queue-size></queued-messages>
                  </mqtt>
                  <persistence><mode>in-memory</mode></persistence>
                  <anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics>
                </hivemq>
                """
                .formatted(listener);
    }

    /** Where it listens. */
    public String url() {
        return url;
    }

    /** Its port. */
    public int port() {
        return port;
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            broker.stop().join();
        }
        directory.close();
    }
}
