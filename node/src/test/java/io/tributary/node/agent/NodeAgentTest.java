// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.mailbox.Rejection;
import io.tributary.memory.peer.Door;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionLayout;
import io.tributary.node.agent.AgentOptions.Bpf;
import io.tributary.node.agent.BpfRequirements.Requirement;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The agent with the kernel's own eBPF, and without it. */
@Timeout(30)
class NodeAgentTest {

    private static final EndpointId A = EndpointId.of("a");
    private static final EndpointId B = EndpointId.of("b");
    private static final EndpointId C = EndpointId.of("c");

    @TempDir Path temp;

    private final int port = FreePorts.next(2);
    private Optional<NodeAgent> agent = Optional.empty();

    private NodeAgent start(Bpf bpf) throws IOException {
        if (bpf == Bpf.REQUIRE && System.getenv("TRIBUTARY_REQUIRE_BPF") == null) {
            List<Requirement> missing =
                    BpfRequirements.check().stream().filter(r -> !r.met()).toList();
            Assumptions.assumeTrue(missing.isEmpty(), missing::toString);
        }
        NodeAgent started = NodeAgent.start(new AgentOptions(port, bpf, temp));
        agent = Optional.of(started);
        return started;
    }

    @AfterEach
    void stop() {
        agent.ifPresent(NodeAgent::close);
    }

    private String page(String path) {
        try {
            return HttpClient.newHttpClient()
                    .send(
                            HttpRequest.newBuilder(
                                            URI.create(
                                                    "http://127.0.0.1:%d%s"
                                                            .formatted(port + 1, path)))
                                    .build(),
                            BodyHandlers.ofString())
                    .body();
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private long metric(String name) {
        return page("/metrics")
                .lines()
                .filter(line -> line.startsWith(name))
                .mapToLong(line -> Long.parseLong(line.substring(line.lastIndexOf(' ') + 1)))
                .sum();
    }

    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void descriptorsArriveAndSayWhoseTheyAre(Bpf bpf) throws Exception {
        assertThat(start(bpf).usesBpf()).isEqualTo(bpf == Bpf.REQUIRE);
        try (Box a = new Box(temp, port, A);
                Box b = new Box(temp, port, B, C)) {
            UUID region = UUID.randomUUID();
            // It claims to come from C; its socket knows better.
            a.mailbox.send(new Descriptor(Kind.UPDATE, 7, B, C, 42, Optional.of(region)));
            assertThat(b.next())
                    .isEqualTo(new Descriptor(Kind.UPDATE, 7, B, A, 42, Optional.of(region)));
            b.mailbox.send(Descriptor.ring(Kind.RECEIPT, A));
            assertThat(a.next().from()).isEqualTo(B);
            a.mailbox.send(Descriptor.ring(Kind.PING, C));
            assertThat(b.next().to()).isEqualTo(C);

            for (int i = 0; i < 5000; i++) {
                a.mailbox.send(new Descriptor(Kind.PING, 0, B, A, i, Optional.empty()));
                assertThat(b.next().number()).isEqualTo(i);
            }
            boolean kernel = bpf == Bpf.REQUIRE;
            long relayed = metric("tributary_agent_relayed_total");
            // Without credit left, since the agent is slow to say what was read, one is relayed.
            assertThat(relayed).isBetween(kernel ? 0L : 5003L, kernel ? 50L : 5003L);
            assertThat(metric("tributary_endpoint_sent_total")).isEqualTo(5003 - relayed);
            assertThat(metric("tributary_endpoint_delivered_bytes_total"))
                    .isEqualTo((5003 - relayed) * 64);
            assertThat(page("/status"))
                    .contains(A.toString(), Long.toString(ProcessHandle.current().pid()))
                    .contains(kernel ? "descriptors: eBPF" : "relay in user space");
        }
        await().untilAsserted(() -> assertThat(metric("tributary_agent_endpoints")).isZero());
    }

    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void aLivingEndpointKeepsItsIdAndADeadOneLosesIt(Bpf bpf) throws Exception {
        start(bpf);
        Box first = new Box(temp, port, A);
        try (Box b = new Box(temp, port, B);
                Mailbox second = Mailbox.open(temp, port, "second", d -> {})) {
            second.listen(A);
            await().until(() -> metric("tributary_agent_rejected_total{reason=\"TAKEN\"}") > 0);
            b.mailbox.send(Descriptor.ring(Kind.PING, A));
            assertThat(first.next().from()).isEqualTo(B);

            first.close();
            await().until(second::connected);
            b.mailbox.send(Descriptor.ring(Kind.PING, C));
            assertThat(b.next().kind()).as("nobody there").isEqualTo(Kind.UNDELIVERABLE);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void aSenderOutlivesItsReceiver(Bpf bpf) throws Exception {
        start(bpf);
        try (Box a = new Box(temp, port, A)) {
            for (int i = 0; i < 20; i++) {
                Box b = new Box(temp, port, B);
                Thread sender =
                        new Thread(
                                () -> {
                                    for (int n = 0; n < 500; n++) {
                                        a.mailbox.send(Descriptor.ring(Kind.PING, B));
                                    }
                                });
                sender.start();
                b.close();
                sender.join();
            }
            try (Box b = new Box(temp, port, B)) {
                await().untilAsserted(
                                () -> {
                                    a.mailbox.send(Descriptor.ring(Kind.PING, B));
                                    assertThat(b.got.poll(100, TimeUnit.MILLISECONDS)).isNotNull();
                                });
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void anEndpointThatNeverReadsBoundsItsSenders(Bpf bpf) throws Exception {
        start(bpf);
        try (Box a = new Box(temp, port, A);
                SocketChannel deaf = connect()) {
            deaf.write(hello(B));
            await().until(() -> metric("tributary_agent_endpoints") == 2);
            for (int i = 0; i < 20_000; i++) {
                assertThat(a.mailbox.send(Descriptor.ring(Kind.PING, B)))
                        .as("number " + i)
                        .isTrue();
            }
            await().until(() -> metric("tributary_agent_dropped_total") == 20_000 - 1024);
            // Others are not held up.
            try (Box c = new Box(temp, port, C)) {
                a.mailbox.send(Descriptor.ring(Kind.PING, C));
                assertThat(c.next().from()).isEqualTo(A);
            }
        }
    }

    private SocketChannel connect() throws IOException {
        return SocketChannel.open(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
    }

    private static ByteBuffer hello(EndpointId id, Optional<UUID> token) {
        return new Descriptor(Kind.HELLO, 0, EndpointId.NONE, id, 0, token).encode();
    }

    /** After a visit to the agent's door. */
    private ByteBuffer hello(EndpointId id) throws IOException {
        return hello(id, Optional.of(Door.enter(temp, port)));
    }

    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void garbageIsRejectedAndNobodyElseNotices(Bpf bpf) throws Exception {
        start(bpf);
        Random random = new Random(7);
        try (Box a = new Box(temp, port, A);
                Box b = new Box(temp, port, B)) {
            int rejected = 0;
            for (int i = 0; i < 10_000; i++) {
                try (SocketChannel vandal = connect()) {
                    byte[] garbage = new byte[64 + random.nextInt(3)];
                    random.nextBytes(garbage);
                    vandal.write(ByteBuffer.wrap(garbage));
                    if (i % 1000 == 0) {
                        assertThat(rejection(vandal)).isEqualTo(Rejection.MALFORMED);
                        a.mailbox.send(Descriptor.ring(Kind.PING, B));
                        assertThat(b.next().from()).isEqualTo(A);
                    }
                }
            }
            await().until(() -> metric("tributary_agent_endpoints") == 2);
            assertThat(metric("tributary_agent_rejected_total{reason=\"MALFORMED\"}")).isPositive();
        }
    }

    /** The agent's last word on a connection. */
    private static Rejection rejection(SocketChannel channel) throws IOException {
        ByteBuffer answer = ByteBuffer.allocate(64);
        while (answer.hasRemaining() && channel.read(answer) >= 0) {
            // Until it is whole.
        }
        Descriptor descriptor = Descriptor.decode(answer, 0);
        assertThat(descriptor.kind()).isEqualTo(Kind.REJECTED);
        assertThat(channel.read(ByteBuffer.allocate(1))).as("the end").isNegative();
        return Rejection.of(descriptor.code());
    }

    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void aFrameThatIsNotOf64BytesEndsTheConnectionWithAWord(Bpf bpf) throws Exception {
        start(bpf);
        try (Box b = new Box(temp, port, B);
                SocketChannel channel = connect()) {
            channel.write(hello(A));
            await().until(() -> metric("tributary_agent_endpoints") == 2);
            channel.read(ByteBuffer.allocate(64));
            // One byte more than a descriptor: the descriptor counts, what follows does not.
            ByteBuffer one = Descriptor.ring(Kind.PING, B).encode();
            channel.write(ByteBuffer.allocate(65).put(one).put((byte) 1).flip());
            assertThat(b.next().from()).isEqualTo(A);
            channel.write(ByteBuffer.allocate(64));
            assertThat(rejection(channel)).isEqualTo(Rejection.MALFORMED);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void strangersAreRejected(Bpf bpf) throws Exception {
        start(bpf);
        UUID used = Door.enter(temp, port);
        try (SocketChannel welcome = connect()) {
            welcome.write(hello(B, Optional.of(used)));
            await().until(() -> metric("tributary_agent_endpoints") == 1);
            for (Optional<UUID> token :
                    List.of(
                            Optional.<UUID>empty(),
                            Optional.of(UUID.randomUUID()),
                            Optional.of(used))) {
                try (SocketChannel channel = connect()) {
                    channel.write(hello(A, token));
                    assertThat(rejection(channel)).isEqualTo(Rejection.TOKEN);
                }
            }
        }
        try (SocketChannel channel = connect()) {
            channel.write(Descriptor.ring(Kind.PING, B).encode());
            assertThat(rejection(channel)).isEqualTo(Rejection.NO_HELLO);
        }
        try (SocketChannel nobody = connect()) {
            nobody.write(hello(EndpointId.NONE));
            assertThat(rejection(nobody)).as("the nil UUID").isEqualTo(Rejection.MALFORMED);
        }
    }

    @Test
    void aSecondAgentSaysThatThereIsOne() throws Exception {
        start(Bpf.OFF);
        assertThatThrownBy(() -> NodeAgent.start(new AgentOptions(port, Bpf.OFF, temp)))
                .isInstanceOf(AgentException.class)
                .hasMessageContaining("is another agent running?");
    }

    @ParameterizedTest
    @EnumSource(names = {"OFF", "REQUIRE"})
    void endpointsFindTheNextAgent(Bpf bpf) throws Exception {
        start(bpf);
        try (Box a = new Box(temp, port, A);
                Box b = new Box(temp, port, B)) {
            stop();
            start(bpf);
            assertThat(a.welcomes.poll(5, TimeUnit.SECONDS)).isNotNull();
            assertThat(b.welcomes.poll(5, TimeUnit.SECONDS)).isNotNull();
            a.mailbox.send(Descriptor.ring(Kind.PING, B));
            assertThat(b.next().from()).isEqualTo(A);
        }
    }

    @Test
    void anAgentThatNobodySpeaksToReapsWhatTheDeadLeft() throws Exception {
        RegionDirectory regions = new RegionDirectory(temp.resolve("job"), 1 << 20);
        Path writing = Path.of(regions.reserve("writing", 8).orElseThrow().payload().path());
        byte[] bytes = Files.readAllBytes(writing);
        // A process that has ended.
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(RegionLayout.OWNER_OFFSET, 1);
        Files.write(writing, bytes);

        start(Bpf.OFF);

        await().atMost(Duration.ofSeconds(25)).until(() -> Files.notExists(writing));
    }

    @Test
    void anOldKernelIsNamed() {
        assertThat(BpfRequirements.kernel("5.14.21-x").met()).isFalse();
        assertThat(BpfRequirements.kernel("5.14.21-x").found())
                .isEqualTo("is 5.14.21-x, needs 5.15 or newer");
        assertThat(BpfRequirements.kernel("5.15.0").met()).isTrue();
        assertThat(BpfRequirements.kernel("6.1.0-9-amd64").met()).isTrue();
    }
}
