// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Issue 13, item 4: a node that nobody reaches any more must not look as if it lived. */
class NodeServerTest {

    @Test
    void anErrorWhileItAcceptsIsToldToWhoeverRunsIt() throws Exception {
        NodeServer server =
                new NodeServer(
                        new InetSocketAddress("127.0.0.1", 0),
                        channel -> {
                            throw new OutOfMemoryError("for the test");
                        });
        CompletableFuture<Throwable> failure = new CompletableFuture<>();
        server.start(channel -> {}, failure::complete);
        try (SocketChannel visitor =
                SocketChannel.open(new InetSocketAddress("127.0.0.1", server.port()))) {
            assertThat(failure.get(5, TimeUnit.SECONDS)).isInstanceOf(OutOfMemoryError.class);
            assertThat(visitor.isOpen()).isTrue();
        } finally {
            server.close();
        }
    }

    @Test
    void closingItIsNoFailure() throws Exception {
        NodeServer server =
                new NodeServer(
                        new InetSocketAddress("127.0.0.1", 0),
                        channel -> java.util.Optional.empty());
        CompletableFuture<Throwable> failure = new CompletableFuture<>();
        server.start(channel -> {}, failure::complete);
        server.close();
        assertThat(failure).isNotDone();
    }
}
