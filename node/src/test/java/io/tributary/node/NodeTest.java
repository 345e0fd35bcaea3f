// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.memory.peer.Door;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.memory.region.RegionWriter;
import io.tributary.protocol.message.RegionRef;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Several nodes on one host, each with its own regions. */
@Timeout(60)
class NodeTest {

    private static final NodeSecret SECRET = new NodeSecret("a secret of many letters");
    private static final int PIECE = LocalRegionStore.PIECE_BYTES;

    @TempDir Path temp;

    private final List<Node> nodes = new ArrayList<>();
    private final List<NodeClient> clients = new ArrayList<>();

    @AfterEach
    void close() throws IOException {
        for (NodeClient client : clients) {
            client.close();
        }
        for (Node node : nodes) {
            node.abort();
        }
    }

    private Node start(String name, long bytesPerSecond, NodeSecret secret) throws IOException {
        Node node =
                Node.start(
                        new Node.Options(
                                name,
                                "127.0.0.1",
                                0,
                                0,
                                Files.createDirectories(temp.resolve(name)),
                                bytesPerSecond),
                        secret);
        nodes.add(node);
        return node;
    }

    private Node start(String name) throws IOException {
        return start(name, 0, SECRET);
    }

    private Node join(String name, Node seed) throws IOException {
        Node node = start(name);
        node.join("127.0.0.1", seed.address().getPort());
        return node;
    }

    private NodeClient client(Node node) throws IOException {
        NodeClient client = NodeClient.by(temp.resolve(node.name()), node.localPort());
        clients.add(client);
        return client;
    }

    private static byte[] bytes(int length, long seed) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private RegionRef region(Node node, String name, byte[] payload) throws IOException {
        RegionDirectory directory = new RegionDirectory(temp.resolve(node.name()), 1L << 30);
        try (RegionWriter writer = directory.reserve(name, payload.length).orElseThrow()) {
            writer.write(0, ByteBuffer.wrap(payload));
            writer.publish(0, "{}");
        }
        return new RegionRef(node.name(), name, 1, 0, payload.length);
    }

    private static byte[] read(NodeClient regions, RegionRef ref) throws IOException {
        try (NodeClient.Open open = regions.open(ref)) {
            byte[] read = new byte[(int) ref.length()];
            open.memory().slice(ref.offset(), read.length).get(read);
            return read;
        }
    }

    @Test
    void aRegionIsReadFromAnyNode() throws Exception {
        Node a = start("a");
        Node b = join("b", a);
        byte[] payload = bytes(20 * PIECE + 12_345, 1);
        RegionRef ref = region(b, "job/updates/00-x", payload);

        assertThat(read(client(b), ref)).as("where it lies").isEqualTo(payload);
        assertThat(read(client(a), ref)).as("elsewhere").isEqualTo(payload);
        assertThat(a.fetchedBytes()).isEqualTo(payload.length);
        assertThat(b.fetchedBytes()).isZero();
        assertThat(client(a).find("b", "job/updates/00-x").ref()).isEqualTo(ref);
        assertThat(client(a).list("b", "job/")).extracting(RegionInfo::ref).containsExactly(ref);
    }

    @Test
    void onlyWhatIsAskedForComesAndOnlyOnce() throws Exception {
        Node a = start("a");
        Node b = join("b", a);
        byte[] payload = bytes(30 * PIECE, 2);
        RegionRef ref = region(b, "job/updates/00-x", payload);
        NodeClient regions = client(a);

        RegionRef shard = ref.part(3L * PIECE + 100, 2 * PIECE);
        assertThat(ByteBuffer.wrap(read(regions, shard)))
                .isEqualTo(ByteBuffer.wrap(payload, 3 * PIECE + 100, 2 * PIECE));
        assertThat(a.fetchedBytes()).as("three pieces").isEqualTo(3L * PIECE);
        read(regions, shard);
        assertThat(a.fetchedBytes()).isEqualTo(3L * PIECE);
        assertThat(read(regions, ref)).isEqualTo(payload);
        assertThat(a.fetchedBytes()).as("the rest").isEqualTo(30L * PIECE);
    }

    @Test
    void whatCannotBeReadIsSaid() throws Exception {
        Node a = start("a");
        Node b = join("b", a);
        RegionRef ref = region(b, "job/updates/00-x", bytes(1000, 3));
        NodeClient regions = client(a);

        assertThatThrownBy(() -> regions.open(new RegionRef("c", "job/x", 1, 0, 1)))
                .isInstanceOf(NodeRejectedException.class)
                .hasMessage("node c: expected one of a, b; has it joined?");
        assertThatThrownBy(() -> regions.open(new RegionRef("b", "job/x", 1, 0, 1)))
                .isInstanceOf(NodeRejectedException.class)
                .hasMessage("there is no region job/x on b");
        assertThatThrownBy(() -> regions.open(new RegionRef("b", ref.name(), 1, 900, 101)))
                .hasMessageContaining("expected a range within its 1000 bytes, got 101 at 900");
        assertThatThrownBy(() -> regions.open(new RegionRef("b", ref.name(), 2, 0, 10)))
                .hasMessageContaining("expected generation 2, READY, it is in generation 1, READY");
        assertThatThrownBy(() -> regions.find("b", "../../etc/passwd"))
                .hasMessageContaining("region '../../etc/passwd': expected names");
        assertThat(read(regions, ref)).as("all goes on").hasSize(1000);
    }

    @Test
    void aRegionThatChangesWhileItIsReadIsRejected() throws Exception {
        Node a = start("a");
        Node b = start("b", 20L * PIECE, SECRET);
        b.join("127.0.0.1", a.address().getPort());
        RegionDirectory directory = new RegionDirectory(temp.resolve("b"), 1L << 30);
        OwnedRegion region = directory.own("job/updates/00-y", 24L * PIECE).orElseThrow();
        region.publish("{}");
        RegionRef ref = new RegionRef("b", "job/updates/00-y", 1, 0, 24L * PIECE);
        NodeClient regions = client(a);
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try {
            Future<byte[]> read = thread.submit(() -> read(regions, ref));
            Awaitility.await()
                    .until(() -> !RegionDirectory.list(temp.resolve("a/.remote")).isEmpty());
            RegionDirectory.release(region.payload());
            region.reuse(24L * PIECE);
            assertThatThrownBy(read::get)
                    .hasRootCauseInstanceOf(NodeRejectedException.class)
                    .hasMessageContaining(
                            "expected generation 1, READY, it is in generation 2, WRITING");
        } finally {
            thread.shutdownNow();
            region.delete();
        }
    }

    @Test
    void aWrongSecretAnotherVersionAndATakenNameAreRejected() throws Exception {
        Node a = start("a");
        Node stranger = start("s", 0, new NodeSecret("another secret, as long"));
        assertThatThrownBy(() -> stranger.join("127.0.0.1", a.address().getPort()))
                .isInstanceOf(NodeRejectedException.class)
                .hasMessageContaining("which calls itself a, has another secret");

        Node second = start("a");
        assertThatThrownBy(() -> second.join("127.0.0.1", a.address().getPort()))
                .isInstanceOf(NodeRejectedException.class)
                .hasMessageContaining("the name a belongs to the node at");

        try (NodeChannel channel = NodeChannel.connect(a.address())) {
            channel.send(
                    java.util.Map.of(
                            "magic", "tributary-node", "version", 7, "node", "x", "nonce", "00"));
            assertThat(channel.receiveSoon(java.util.Map.class).get("rejection"))
                    .isEqualTo(
                            "node a speaks version 4 of the protocol, node x version 7; run the same Tributary on both");
        }
        try (NodeChannel channel = NodeChannel.connect(a.address())) {
            channel.write(ByteBuffer.wrap("GET / HTTP/1.1\r\n\r\n".getBytes()));
            assertThatThrownBy(() -> channel.receiveSoon(java.util.Map.class))
                    .isInstanceOf(IOException.class);
        }
        assertThat(a.members()).hasSize(1);
    }

    @Test
    void nodesLearnOfEachOtherAndNoticeWhoDiesAndWhoLeaves() throws Exception {
        Node a = start("a");
        Node b = join("b", a);
        Node c = join("c", a);
        Awaitility.await().until(() -> alive(b).equals(List.of("b", "a", "c")));
        Awaitility.await().until(() -> alive(c).equals(List.of("c", "a", "b")));
        RegionRef ref = region(b, "job/updates/00-x", bytes(10, 4));
        assertThat(read(client(c), ref)).hasSize(10);

        InetSocketAddress seed = a.address();
        b.abort();
        Awaitility.await()
                .atMost(Duration.ofSeconds(3))
                .until(() -> alive(a).equals(List.of("a", "c")));
        Awaitility.await().until(() -> alive(c).equals(List.of("c", "a")));
        assertThatThrownBy(() -> read(client(a), ref))
                .isInstanceOf(NodeRejectedException.class)
                .hasMessage("node lost: b");

        Node again = start("b");
        again.join("127.0.0.1", seed.getPort());
        Awaitility.await().until(() -> alive(c).equals(List.of("c", "a", "b")));
        assertThat(read(client(a), ref)).as("its regions are still there").hasSize(10);

        c.close();
        assertThat(alive(a)).isEqualTo(List.of("a", "b"));
        assertThatThrownBy(() -> client(a).list("c", ""))
                .hasMessageContaining("node c: expected one of a, b");
    }

    private static List<String> alive(Node node) {
        return node.members().stream()
                .filter(MemberStatus::alive)
                .map(m -> m.member().node())
                .toList();
    }

    /** As the name of a Kubernetes service of all agents, where all begin at once. */
    @Test
    void aNameMayHaveTheAddressesOfAllNodes() throws Exception {
        List<InetSocketAddress> known = new CopyOnWriteArrayList<>();
        Seeds name =
                () -> {
                    if (known.isEmpty()) {
                        throw new UnknownHostException("nodes: not known yet");
                    }
                    return known;
                };
        Node a = start("a");
        a.join("nodes", name);
        Node b = start("b");
        b.join("nodes", name);
        known.add(new InetSocketAddress("127.0.0.1", 1));
        known.add(a.address());
        known.add(b.address());
        Node c = start("c");
        c.join("nodes", name);
        for (Node node : List.of(a, b, c)) {
            Awaitility.await()
                    .untilAsserted(
                            () ->
                                    assertThat(node.members())
                                            .extracting(status -> status.member().node())
                                            .containsExactlyInAnyOrder("a", "b", "c"));
        }
    }

    @Test
    void aThousandReadsAtATimeAndOneThatNeverReads() throws Exception {
        Node a = start("a");
        Node b = join("b", a);
        byte[] payload = bytes(64 << 20, 5);
        RegionRef ref = region(b, "job/updates/00-x", payload);
        try (NodeChannel deaf = NodeChannel.connect(b.address())) {
            Handshake.connect(deaf, "a", SECRET);
            deaf.send(
                    new NodeRequest.Asked(
                            0,
                            new NodeRequest.Read(ref, client(b).find("b", ref.name()).identity())));
            NodeClient regions = client(a);
            ExecutorService threads = Executors.newFixedThreadPool(1000);
            try {
                List<Callable<Boolean>> all = new ArrayList<>();
                for (int i = 0; i < 1000; i++) {
                    RegionRef part = ref.part(i * 65_536L, 65_536);
                    all.add(
                            () ->
                                    ByteBuffer.wrap(read(regions, part))
                                            .equals(
                                                    ByteBuffer.wrap(
                                                            payload, (int) part.offset(), 65_536)));
                }
                for (Future<Boolean> read : threads.invokeAll(all)) {
                    assertThat(read.get()).isTrue();
                }
            } finally {
                threads.shutdownNow();
            }
            assertThat(a.fetchedBytes()).isEqualTo(1000 * 65_536L);
        }
    }

    @Test
    void regionsAreMadeWrittenReadAndFreedAnywhere() throws Exception {
        Node a = start("a");
        Node b = join("b", a);
        NodeClient here = client(a);
        NodeClient there = client(b);
        byte[] first = bytes(3 * PIECE + 7, 6);

        RegionRef empty = here.allocate("b", "notes/one", first.length);
        assertThat(read(here, empty)).isEqualTo(new byte[first.length]);
        RegionRef written = here.write(empty, ByteBuffer.wrap(first));
        assertThat(written.generation()).isEqualTo(2);
        assertThat(read(here, written)).isEqualTo(first);
        assertThat(read(there, written)).isEqualTo(first);

        RegionRef part = there.write(written.part(5, 3), ByteBuffer.wrap(new byte[] {1, 2, 3}));
        assertThat(read(here, part)).isEqualTo(new byte[] {1, 2, 3});
        assertThatThrownBy(() -> read(here, written))
                .hasMessageContaining("expected generation 2, READY, it is in generation 3, READY");
        assertThatThrownBy(() -> here.write(written, ByteBuffer.wrap(first)))
                .hasMessageContaining("expected generation 2, it is in generation 3");
        assertThatThrownBy(() -> here.allocate("b", "notes/one", 1))
                .hasMessage("region notes/one on b is there already");

        here.free(part);
        assertThatThrownBy(() -> read(there, part)).hasMessage("there is no region notes/one on b");
        assertThat(here.list("b", "")).isEmpty();
    }

    @Test
    void aWriteThatBreaksOffLeavesNothingToBeRead() throws Exception {
        Node a = start("a");
        NodeClient regions = client(a);
        RegionRef ref = regions.allocate("a", "notes/torn", 2 * PIECE);
        try (NodeChannel channel =
                NodeChannel.connect(new InetSocketAddress("127.0.0.1", a.localPort()))) {
            channel.send(new NodeRequest.Enter(Door.enter(temp.resolve("a"), a.localPort())));
            channel.receiveSoon(NodeAnswer.class).as(String.class);
            channel.send(new NodeRequest.Write(ref));
            channel.receiveSoon(NodeAnswer.class).as(RegionRef.class);
            channel.write(ByteBuffer.allocate(PIECE));
        }
        Awaitility.await().until(() -> regions.find("a", "notes/torn").state() == State.WRITING);
        assertThatThrownBy(() -> read(regions, ref)).hasMessageContaining("generation 2, WRITING");

        RegionRef again = new RegionRef("a", "notes/torn", 2, 0, 2 * PIECE);
        RegionRef whole = regions.write(again, ByteBuffer.wrap(bytes(2 * PIECE, 7)));
        assertThat(read(regions, whole)).isEqualTo(bytes(2 * PIECE, 7));
    }

    @Test
    void countersAddUpAndBarriersHoldUntilAllAreThere() throws Exception {
        Node a = start("a");
        Node b = join("b", a);
        ExecutorService threads = Executors.newFixedThreadPool(8);
        try {
            List<Callable<Integer>> all = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                NodeClient regions = client(i % 2 == 0 ? a : b);
                all.add(
                        () -> {
                            for (int n = 0; n < 100; n++) {
                                regions.fetchAndAdd("a", "rounds", 1);
                            }
                            return regions.barrier("a", "start", 8, Duration.ofSeconds(20));
                        });
            }
            List<Integer> arrived = new ArrayList<>();
            for (Future<Integer> one : threads.invokeAll(all)) {
                arrived.add(one.get());
            }
            assertThat(arrived).containsExactlyInAnyOrder(0, 1, 2, 3, 4, 5, 6, 7);
        } finally {
            threads.shutdownNow();
        }
        assertThat(client(b).fetchAndAdd("a", "rounds", 0)).isEqualTo(800);
        assertThatThrownBy(() -> client(b).barrier("a", "start", 2, Duration.ofMillis(50)))
                .hasMessage("barrier start: expected 2 parties within 50 ms, 1 came");
    }

    @Test
    void whoMayDoWhat() throws Exception {
        LocalRegionStore store = new LocalRegionStore("a", temp, new RateLimiter(0));
        RegionRef ref = store.allocate(1000, "notes/mine", 10).ref();

        assertThat(store.find(1000, "notes/mine").ref()).isEqualTo(ref);
        assertThatThrownBy(() -> store.find(1001, "notes/mine"))
                .hasMessage(
                        "region notes/mine on a: user 1001 may not read it; its owner may grant it");
        assertThat(store.list(1001, "")).isEmpty();
        assertThatThrownBy(() -> store.grant(1001, ref, new LocalRegionStore.Reader(1001, false)))
                .hasMessage("region notes/mine on a: user 1001 is not its owner");

        store.grant(1000, ref, new LocalRegionStore.Reader(1001, false));
        assertThat(store.readable(1001, ref).length()).isEqualTo(10);
        assertThat(store.list(1001, "")).hasSize(1);
        assertThatThrownBy(() -> store.free(1001, ref)).hasMessageContaining("is not its owner");
        store.free(0, ref);
        assertThat(store.list(0, "")).isEmpty();
    }

    @Test
    void memoryOfACopyIsUsedAgainUnlessItsReaderMayStillReadIt() throws Exception {
        Node a = start("a");
        Node b = join("b", a);
        byte[] payload = bytes(3 * PIECE, 9);
        RegionRef first = region(b, "job/updates/00-first", bytes(3 * PIECE, 8));
        RegionRef second = region(b, "job/updates/00-second", payload);
        NodeClient reader = NodeClient.by(temp.resolve("a"), a.localPort());
        String path;
        try (NodeClient.Open open = reader.open(first)) {
            path = open.payload().path();
        }
        for (int i = 0; i < 8; i++) {
            // Each connection's next answer comes after what it was told before.
            reader.members();
        }
        NodeClient.Open open = reader.open(second);
        assertThat(open.payload().path()).as("used again").isEqualTo(path);
        // Its connections break, as when it is slow to die.
        reader.close();

        NodeClient others = client(a);
        for (int i = 0; i < 50; i++) {
            RegionRef next = region(b, "job/updates/00-" + i, bytes(3 * PIECE, i));
            try (NodeClient.Open other = others.open(next)) {
                assertThat(other.payload().path()).isNotEqualTo(path);
            }
        }
        byte[] read = new byte[payload.length];
        open.memory().slice(0, read.length).get(read);
        assertThat(read).isEqualTo(payload);
    }

    /** User and group 1 are daemon's on every Unix. */
    @Test
    void aGroupReadsWhatItWasGrantedOrTheFilesPermissionsAllow() throws Exception {
        LocalRegionStore store = new LocalRegionStore("a", temp, new RateLimiter(0));
        RegionRef ref = store.allocate(1000, "notes/ours", 10).ref();
        assertThatThrownBy(() -> store.find(1, "notes/ours")).hasMessageContaining("may not read");
        store.grant(1000, ref, new LocalRegionStore.Reader(1, true));
        assertThat(store.find(1, "notes/ours").ref()).isEqualTo(ref);
        assertThatThrownBy(() -> store.find(2, "notes/ours")).hasMessageContaining("may not read");
        assertThatThrownBy(() -> store.free(1, ref)).hasMessageContaining("is not its owner");

        store.allocate(1000, "notes/file", 10);
        Path file = temp.resolve("notes/file.region");
        int own = (int) Files.getAttribute(file, "unix:gid");
        int member = (int) Files.getAttribute(temp, "unix:uid");
        Assumptions.assumeTrue(member == 0, "the file is root's group's");
        assertThat(own).isZero();
        Files.setAttribute(file, "unix:gid", 1);
        assertThatThrownBy(() -> store.find(1, "notes/file")).hasMessageContaining("may not read");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
        assertThat(store.find(1, "notes/file").ref().length()).isEqualTo(10);
    }

    /** Whoever answers calls and goes leaves neither its place nor its name. */
    @Test
    void anAnswererThatGoesLeavesNothing() throws Exception {
        NodeClient regions = client(start("a"));
        for (int i = 0; i < 100; i++) {
            regions.serve("e" + i, call -> call).close();
        }
        Awaitility.await()
                .until(
                        () ->
                                Thread.getAllStackTraces().values().stream()
                                        .flatMap(Arrays::stream)
                                        .noneMatch(
                                                frame ->
                                                        frame.getClassName()
                                                                .equals(
                                                                        EndpointRegistry.class
                                                                                .getName())));
        assertThatThrownBy(() -> regions.call("a", "e7", new byte[1]))
                .hasMessageContaining("nobody answers there");
    }

    @Test
    void endpointsAnswerCallsOfOtherNodes() throws Exception {
        Node a = start("a");
        Node b = join("b", a);
        NodeClient here = client(a);
        try (AutoCloseable ignored =
                client(b)
                        .serve(
                                "reverse",
                                call -> {
                                    if (call.length == 0) {
                                        throw new IllegalArgumentException("expected some bytes");
                                    }
                                    return new StringBuilder(new String(call))
                                            .reverse()
                                            .toString()
                                            .getBytes();
                                })) {
            assertThat(here.call("b", "reverse", "abc".getBytes())).isEqualTo("cba".getBytes());
            assertThatThrownBy(() -> here.call("b", "reverse", new byte[0]))
                    .isInstanceOf(NodeRejectedException.class)
                    .hasMessage("expected some bytes");
            assertThatThrownBy(() -> here.call("b", "reverse", new byte[70_000]))
                    .hasMessage("expected a call of at most 65536 bytes, got 70000");
            assertThatThrownBy(() -> here.call("b", "other", new byte[0]))
                    .hasMessage("endpoint other: nobody answers there");
        }
        assertThatThrownBy(() -> here.call("b", "reverse", "abc".getBytes()))
                .hasMessageContaining("endpoint reverse went away");
    }
}
