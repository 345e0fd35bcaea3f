// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class FreePortsTest {

    @Test
    void noneIsGivenTwiceNorOneThatAConnectionMayTake() throws Exception {
        // By lines: the kernel gives this file in one read or not at all.
        Path range = Path.of("/proc/sys/net/ipv4/ip_local_port_range");
        int connectionsFrom = Integer.parseInt(Files.readAllLines(range).get(0).split("\\s+")[0]);
        Set<Integer> given = new HashSet<>();
        for (int i = 0; i < 200; i++) {
            int first = FreePorts.next(2);
            assertThat(first + 1).isLessThan(connectionsFrom);
            IntStream.range(first, first + 2)
                    .forEach(port -> assertThat(given.add(port)).as("port %d", port).isTrue());
        }
    }

    @Test
    void oneThatIsTakenIsLeftOut() throws Exception {
        int first = FreePorts.next();
        try (ServerSocket taken =
                new ServerSocket(first + 2, 1, InetAddress.getLoopbackAddress())) {
            assertThat(FreePorts.free(taken.getLocalPort())).isFalse();
            assertThat(FreePorts.next(2)).isNotIn(taken.getLocalPort() - 1, taken.getLocalPort());
        }
    }

    @Test
    void theLowestStaysOursBeforeSomebodyListensThere() {
        // So that the ports which say whose they are cannot be a connection's.
        int first = FreePorts.next(3) - 10_000;
        assertThat(FreePorts.lowest(first, 3)).isEqualTo(first);
        assertThat(FreePorts.lowest(first, 3)).isEqualTo(first + 1);
        assertThat(FreePorts.free(first)).isTrue();
        assertThat(FreePorts.lowest(first, 3)).isEqualTo(first + 2);
        assertThatThrownBy(() -> FreePorts.lowest(first, 3))
                .hasMessage("no port from %d to %d is free on 127.0.0.1", first, first + 2);
    }
}
