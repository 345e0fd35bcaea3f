// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Rejection;
import io.tributary.memory.peer.Door;
import io.tributary.memory.peer.PeerProcess;
import io.tributary.node.Node;
import io.tributary.node.NodeClient;
import io.tributary.node.NodeSecret;
import io.tributary.node.agent.AgentOptions.Bpf;
import io.tributary.node.agent.BpfRequirements.Requirement;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What other users of the host, who can reach the loopback, must not be able to do. */
@Timeout(60)
class AgentAgainstOthersTest {

    private static final EndpointId A = EndpointId.trainer("job", "a");
    private static final EndpointId B = EndpointId.trainer("job", "b");
    private static final int NOBODY = 65534;

    private final int port = FreePorts.next(2);

    @TempDir Path temp;

    private Optional<NodeAgent> agent = Optional.empty();

    private static int user() throws IOException {
        return (int) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
    }

    private NodeAgent start(Bpf bpf, Path directory) throws IOException {
        if (bpf == Bpf.REQUIRE && System.getenv("TRIBUTARY_REQUIRE_BPF") == null) {
            List<Requirement> missing =
                    BpfRequirements.check().stream().filter(r -> !r.met()).toList();
            Assumptions.assumeTrue(missing.isEmpty(), missing::toString);
        }
        NodeAgent started = NodeAgent.start(new AgentOptions(port, bpf, directory));
        agent = Optional.of(started);
        return started;
    }

    @AfterEach
    void stop() {
        agent.ifPresent(NodeAgent::close);
    }

    private static SocketChannel connect(String from, int fromPort, int to) throws IOException {
        SocketChannel channel = SocketChannel.open();
        channel.bind(new InetSocketAddress(from, fromPort));
        channel.connect(new InetSocketAddress("127.0.0.1", to));
        return channel;
    }

    private static int port(SocketChannel channel) throws IOException {
        return ((InetSocketAddress) channel.getLocalAddress()).getPort();
    }

    private static Descriptor next(SocketChannel channel) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(64);
        while (bytes.hasRemaining()) {
            assertThat(channel.read(bytes)).as("a descriptor").isNotNegative();
        }
        return Descriptor.decode(bytes, 0);
    }

    /** Issue 13, item 3: another address of the loopback has the same ports once more. */
    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void thePortOfAnotherIsNotItsMail(Bpf bpf) throws Exception {
        start(bpf, temp);
        try (Box a = new Box(temp, port, A);
                SocketChannel victim = connect("127.0.0.1", 0, port)) {
            victim.write(hello(B));
            assertThat(next(victim).kind()).isEqualTo(Kind.WELCOME);
            SocketChannel thief = connect("127.0.0.2", port(victim), port);
            a.mailbox.send(Descriptor.ring(Kind.PING, B));
            assertThat(next(victim).from()).isEqualTo(A);
            thief.write(Descriptor.ring(Kind.UPDATE, A).encode());
            assertThat(next(thief).kind()).as("it is no endpoint").isEqualTo(Kind.REJECTED);
            thief.close();
            a.mailbox.send(Descriptor.ring(Kind.PING, B));
            assertThat(next(victim).from()).as("nothing of it is left").isEqualTo(A);
            assertThat(a.got).isEmpty();
        }
    }

    /** Who has a port after another has nothing of what was the other's. */
    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void aPortThatIsTakenAgainIsNotItsFormerOwners(Bpf bpf) throws Exception {
        start(bpf, temp);
        try (Box a = new Box(temp, port, A)) {
            SocketChannel victim = connect("127.0.0.1", 0, port);
            victim.write(hello(B));
            assertThat(next(victim).kind()).isEqualTo(Kind.WELCOME);
            int its = port(victim);
            // A reset leaves no TIME_WAIT, so the port is free at once.
            victim.setOption(StandardSocketOptions.SO_LINGER, 0);
            victim.close();
            try (SocketChannel heir = connect("127.0.0.1", its, port)) {
                await().until(
                                () -> {
                                    a.mailbox.send(Descriptor.ring(Kind.PING, B));
                                    Descriptor answer = a.got.poll(100, TimeUnit.MILLISECONDS);
                                    return answer != null && answer.kind() == Kind.UNDELIVERABLE;
                                });
                a.got.clear();
                heir.write(Descriptor.ring(Kind.PING, A).encode());
                assertThat(Rejection.of(next(heir).code())).isEqualTo(Rejection.NO_HELLO);
                assertThat(a.got).isEmpty();
            }
        }
    }

    /**
     * With a token of its own, from another address: it is relayed for, and never in the kernel.
     */
    @Test
    void anotherAddressOfTheLoopbackIsNotInTheKernel() throws Exception {
        start(Bpf.REQUIRE, temp);
        try (Box a = new Box(temp, port, A);
                SocketChannel other = connect("127.0.0.2", 0, port)) {
            other.write(hello(B));
            assertThat(next(other).kind()).isEqualTo(Kind.WELCOME);
            a.mailbox.send(Descriptor.ring(Kind.PING, B));
            assertThat(next(other).from()).isEqualTo(A);
            other.write(Descriptor.ring(Kind.PING, A).encode());
            assertThat(a.next().from()).isEqualTo(B);
        }
    }

    private ByteBuffer hello(EndpointId id) throws IOException {
        return new Descriptor(
                        Kind.HELLO, 0, EndpointId.NONE, id, 0, Optional.of(Door.enter(temp, port)))
                .encode();
    }

    /** Issue 13, item 2: nor is a connection another's that is being closed. */
    @Test
    void whoAsksIsToldByBothAddresses() throws Exception {
        try (ServerSocketChannel server = ServerSocketChannel.open()) {
            server.bind(new InetSocketAddress("127.0.0.1", port));
            SocketChannel one = connect("127.0.0.1", 0, port);
            SocketChannel atOne = server.accept();
            try (SocketChannel other = connect("127.0.0.2", port(one), port);
                    SocketChannel atOther = server.accept()) {
                PeerProcess first = PeerProcess.find(atOne).orElseThrow();
                PeerProcess second = PeerProcess.find(atOther).orElseThrow();
                assertThat(first.user()).isEqualTo(user());
                assertThat(second.cookie()).isNotEqualTo(first.cookie());
                one.close();
                assertThat(PeerProcess.find(atOne)).as("it is being closed").isEmpty();
                assertThat(PeerProcess.find(atOther)).hasValue(second);
                assertThat(other.isOpen()).isTrue();
            } finally {
                atOne.close();
            }
        }
    }

    /** Opens as many connections as it can as another user, and says nothing. */
    private static Process idleConnections(int to) throws IOException {
        Assumptions.assumeTrue(user() == 0, "only root can become another user");
        Process process =
                new ProcessBuilder(
                                "setpriv",
                                "--reuid=" + NOBODY,
                                "--regid=" + NOBODY,
                                "--clear-groups",
                                "bash",
                                "-c",
                                "for i in {1..700}; do exec {fd}<>/dev/tcp/127.0.0.1/%d; done; echo; read"
                                        .formatted(to))
                        .redirectError(ProcessBuilder.Redirect.DISCARD)
                        .start();
        assertThat(process.getInputStream().read()).as("all are there").isEqualTo('\n');
        return process;
    }

    /** Those that the other end has not closed. */
    private static long open(int to) throws IOException {
        String remote = "0100007F:%04X".formatted(to);
        return Files.readAllLines(Path.of("/proc/net/tcp")).stream()
                .map(line -> line.strip().split("\\s+"))
                .filter(f -> f[2].equals(remote) && f[3].equals("01"))
                .filter(f -> f[7].equals(Integer.toString(NOBODY)))
                .count();
    }

    /** Issue 13, item 4. */
    @Test
    void idleConnectionsOfAnotherUserHoldNothingAtTheAgent() throws Exception {
        start(Bpf.OFF, temp);
        Process idle = idleConnections(port);
        try (Box a = new Box(temp, port, A);
                Box b = new Box(temp, port, B)) {
            assertThat(open(port)).isLessThanOrEqualTo(64);
            a.mailbox.send(Descriptor.ring(Kind.PING, B));
            assertThat(b.next().from()).isEqualTo(A);
            await().atMost(Duration.ofSeconds(20)).until(() -> open(port) == 0);
        } finally {
            idle.destroyForcibly().waitFor();
        }
    }

    /** A scraper that says nothing, or one letter now and then. */
    @Test
    void idleConnectionsOfAnotherUserKeepNobodyFromTheMetrics() throws Exception {
        start(Bpf.OFF, temp);
        Process idle = idleConnections(port + 1);
        try {
            HttpRequest page =
                    HttpRequest.newBuilder(
                                    URI.create("http://127.0.0.1:%d/metrics".formatted(port + 1)))
                            .build();
            assertThat(HttpClient.newHttpClient().send(page, BodyHandlers.ofString()).body())
                    .contains("tributary_agent_endpoints 0");
            assertThat(open(port + 1)).isLessThanOrEqualTo(64);
            await().atMost(Duration.ofSeconds(20)).until(() -> open(port + 1) == 0);
        } finally {
            idle.destroyForcibly().waitFor();
        }
    }

    @Test
    void idleConnectionsOfAnotherUserHoldNothingAtANode() throws Exception {
        Node node =
                Node.start(
                        new Node.Options("n", "127.0.0.1", 0, 0, temp, 0),
                        new NodeSecret("a secret of many letters"));
        Process idle = idleConnections(node.localPort());
        Process atOthers = idleConnections(node.address().getPort());
        try (NodeClient regions = NodeClient.by(temp, node.localPort())) {
            assertThat(regions.members()).hasSize(1);
            assertThat(open(node.localPort())).isLessThanOrEqualTo(64);
            await().until(() -> open(node.address().getPort()) <= 64);
            await().atMost(Duration.ofSeconds(20))
                    .until(
                            () ->
                                    open(node.localPort()) == 0
                                            && open(node.address().getPort()) == 0);
        } finally {
            idle.destroyForcibly().waitFor();
            atOthers.destroyForcibly().waitFor();
            node.close();
        }
    }

    @Test
    void whoDoesNotSayForWhomItSpeaksIsNotKept() throws Exception {
        start(Bpf.OFF, temp);
        try (SocketChannel silent = connect("127.0.0.1", 0, port);
                Box a = new Box(temp, port, A)) {
            assertThat(silent.read(ByteBuffer.allocate(1))).as("the end").isNegative();
            assertThat(a.mailbox.connected()).isTrue();
        }
    }

    /** An agent whose thread has ended must not look as if it lived. */
    @Test
    void anErrorEndsTheAgentAndIsSeen() throws Exception {
        AtomicBoolean runs = new AtomicBoolean();
        Path broken =
                (Path)
                        Proxy.newProxyInstance(
                                Path.class.getClassLoader(),
                                new Class<?>[] {Path.class},
                                (proxy, method, arguments) -> {
                                    if (runs.get() && method.getName().equals("getFileSystem")) {
                                        throw new OutOfMemoryError("for the test");
                                    }
                                    try {
                                        return method.invoke(temp, arguments);
                                    } catch (InvocationTargetException e) {
                                        throw e.getCause();
                                    }
                                });
        NodeAgent started = start(Bpf.OFF, broken);
        runs.set(true);
        CompletableFuture<Boolean> ended =
                CompletableFuture.supplyAsync(
                        () -> {
                            try {
                                return started.await();
                            } catch (InterruptedException e) {
                                throw new IllegalStateException(e);
                            }
                        });
        assertThat(ended.get()).as("by close").isFalse();
    }
}
