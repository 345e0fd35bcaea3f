// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.cli.testutils.DelayingProxy;
import io.tributary.cli.testutils.Mosquitto;
import io.tributary.node.agent.FreePorts;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.BrokerUnavailableException;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A link ends, whatever its broker does. */
@Timeout(60)
class MqttLinkITCase {

    private final int port = FreePorts.next();

    private MqttLink link() {
        return link(port, Duration.ofSeconds(2));
    }

    private static MqttLink link(int port, Duration patience) {
        return MqttLink.connect(
                new BrokerOptions("mqtt://127.0.0.1:" + port, "", "", "", "", "", patience),
                new MqttLink.Settings("client", 10, Optional.empty()),
                message -> message.done().run());
    }

    @Test
    void isClosedWhereItsBrokerIsGone() throws Exception {
        MqttLink link;
        try (Mosquitto ignored = Mosquitto.start(port, "allow_anonymous true")) {
            link = link();
            assertThat(link.connections()).isEqualTo(1);
        }
        // From here on the link knows it.
        assertThatThrownBy(() -> link.publish(new Publication("x", new byte[1], Map.of(), false)))
                .isInstanceOf(BrokerUnavailableException.class);
        link.close();
    }

    /** A broker's host that dies closes no connection; another one may have the broker soon. */
    @Test
    void connectsAgainWhereAConnectionIsSilent() throws Exception {
        try (Mosquitto ignored = Mosquitto.start(port, "allow_anonymous true");
                DelayingProxy proxy = new DelayingProxy(port, 0)) {
            MqttLink link = link(proxy.port(), Duration.ofSeconds(30));
            proxy.silence();
            link.publish(new Publication("x", new byte[1], Map.of(), false));
            assertThat(link.connections()).isEqualTo(2);
            link.close();
        }
    }

    @Test
    void isClosedWhereItsBrokerSaysNothing() throws Exception {
        try (Mosquitto broker = Mosquitto.start(port, "allow_anonymous true")) {
            MqttLink link = link();
            broker.freeze();
            link.close();
            broker.thaw();
            MqttLink another = link();
            broker.freeze();
            another.abort();
        }
    }

    @Test
    void isClosedWhileItConnectsAgain() throws Exception {
        MqttLink link;
        try (Mosquitto ignored = Mosquitto.start(port, "allow_anonymous true")) {
            link = link();
        }
        try (ServerSocket silent = new ServerSocket(port, 1, InetAddress.getLoopbackAddress());
                Socket waiting = silent.accept()) {
            assertThat(waiting.getInputStream().read()).as("the type of CONNECT").isEqualTo(0x10);
            link.close();
        }
    }
}
