// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.node.Node;
import io.tributary.node.NodeSecret;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Descriptors between endpoints of different nodes. */
@Timeout(30)
class RoutesTest {

    private static final EndpointId A = EndpointId.of("a");
    private static final EndpointId B = EndpointId.of("b");
    private static final EndpointId C = EndpointId.of("c");

    @TempDir Path temp;

    private final List<AutoCloseable> all = new ArrayList<>();

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable one : all) {
            one.close();
        }
    }

    /** An agent that is a node. */
    private record Host(Path directory, int port, NodeAgent agent, Node node) {

        Box box(EndpointId id) throws InterruptedException {
            return new Box(directory, port, id);
        }
    }

    private Host start(String name) throws IOException {
        Path directory = Files.createDirectories(temp.resolve(name));
        int port = FreePorts.next(2);
        NodeAgent agent = NodeAgent.start(new AgentOptions(port, AgentOptions.Bpf.OFF, directory));
        Node node =
                Node.start(
                        new Node.Options(name, "127.0.0.1", 0, 0, directory, 0),
                        new NodeSecret("a secret of many letters"));
        agent.join(node);
        all.add(node);
        all.add(agent);
        return new Host(directory, port, agent, node);
    }

    @Test
    void aDescriptorFindsItsEndpointOnAnotherNode() throws Exception {
        Host one = start("one");
        Host two = start("two");
        two.node().join("127.0.0.1", one.node().address().getPort());
        try (Box a = one.box(A);
                Box b = two.box(B)) {
            await().until(() -> one.node().owner(B).isPresent());
            await().until(() -> two.node().owner(A).isPresent());
            for (int i = 0; i < 500; i++) {
                a.mailbox.send(new Descriptor(Kind.PING, 0, B, C, i, java.util.Optional.empty()));
                Descriptor got = b.next();
                assertThat(got.number()).isEqualTo(i);
                assertThat(got.from()).as("by its socket, not by what it says").isEqualTo(A);
                b.mailbox.send(Descriptor.ring(Kind.PING, got.from()));
                assertThat(a.next().from()).isEqualTo(B);
            }
            a.mailbox.send(Descriptor.ring(Kind.PING, C));
            assertThat(a.next().kind()).isEqualTo(Kind.UNDELIVERABLE);
        }
        await().until(() -> one.node().owner(B).isEmpty());
    }

    @Test
    void anEndpointHasOneOwnerAlsoAfterAPartitionHeals() throws Exception {
        Host one = start("one");
        Host two = start("two");
        try (Box first = one.box(A);
                Box second = two.box(A);
                Box b = two.box(B)) {
            two.node().join("127.0.0.1", one.node().address().getPort());
            await().until(() -> !two.agent().endpoints().contains(A));
            await().until(() -> two.node().owner(A).isPresent());
            assertThat(one.agent().endpoints()).contains(A);
            b.mailbox.send(Descriptor.ring(Kind.PING, A));
            assertThat(first.next().from()).isEqualTo(B);
        }
    }

    @Test
    void anIdThatLivesElsewhereIsTaken() throws Exception {
        Host one = start("one");
        Host two = start("two");
        two.node().join("127.0.0.1", one.node().address().getPort());
        Box first = one.box(A);
        await().until(() -> two.node().owner(A).isPresent());
        try (Mailbox second = Mailbox.open(two.directory(), two.port(), "second", d -> {})) {
            second.listen(A);
            assertThat(second.connected()).isFalse();
            first.close();
            await().until(second::connected);
            assertThat(two.agent().endpoints()).contains(A);
        }
    }
}
