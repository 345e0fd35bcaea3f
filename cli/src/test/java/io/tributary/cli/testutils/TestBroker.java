// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.testutils;

import io.tributary.node.agent.FreePorts;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.transport.mqtt.BrokerOptions;
import java.util.function.IntFunction;

/** A broker that a test can stop and start again at the same address. */
public final class TestBroker implements AutoCloseable {

    private final IntFunction<AutoCloseable> start;
    private final int port;
    private AutoCloseable running;

    private TestBroker(IntFunction<AutoCloseable> start) {
        this.start = start;
        this.port = FreePorts.next();
        this.running = start.apply(port);
    }

    /** The brokers that tests run against. */
    public enum Kind {
        EMBEDDED,
        MOSQUITTO;

        public TestBroker start() {
            return this == EMBEDDED
                    ? new TestBroker(EmbeddedBroker::start)
                    : new TestBroker(port -> Mosquitto.start(port, "allow_anonymous true"));
        }
    }

    public BrokerOptions options() {
        return BrokerOptions.of("mqtt://127.0.0.1:" + port);
    }

    public void stop() throws Exception {
        running.close();
        running = () -> {};
    }

    public void startAgain() {
        running = start.apply(port);
    }

    @Override
    public void close() throws Exception {
        stop();
    }
}
