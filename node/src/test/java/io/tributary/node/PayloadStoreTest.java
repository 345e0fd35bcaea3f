// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionPool;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two hosts in one process: each has a node, whose region directory stands for the host. */
class PayloadStoreTest {

    private static final NodeSecret SECRET = new NodeSecret("a secret of many letters");
    private static final int BYTES = 300_000;

    @TempDir Path temp;

    private Node here;
    private Node there;
    private PayloadStore access;
    private final List<Node> nodes = new ArrayList<>();

    @BeforeEach
    void start() throws IOException {
        here = node("here");
        there = node("there");
        there.join("127.0.0.1", here.address().getPort());
        access = new PayloadStore.Place(root("here").toString(), here.localPort()).open();
        Awaitility.await().until(() -> here.members().size() == 2);
    }

    private Node node(String name) throws IOException {
        Node node =
                Node.start(
                        new Node.Options(
                                name, "127.0.0.1", 0, 0, Files.createDirectories(root(name)), 0),
                        SECRET);
        nodes.add(node);
        return node;
    }

    private Path root(String name) {
        return temp.resolve(name);
    }

    @AfterEach
    void stop() throws IOException {
        access.close();
        for (Node node : nodes) {
            node.abort();
        }
    }

    private OwnedRegion region(String host) throws IOException {
        OwnedRegion region =
                new RegionDirectory(root(host), 1 << 30)
                        .own("job/updates/00-x", BYTES)
                        .orElseThrow();
        for (int i = 0; i < BYTES; i += 1000) {
            region.memory().slice(i, 1).put((byte) (i / 1000));
        }
        region.publish("{}");
        return region;
    }

    /** Hosts have the same path for their region directories; these two have not. */
    private PayloadRef elsewhere(OwnedRegion region) {
        Path path = root("here").resolve(root("there").relativize(region.file()));
        PayloadRef payload = region.payload();
        return new PayloadRef(
                path.toString(), payload.offset(), payload.length(), payload.generation(), "there");
    }

    @Test
    void whatIsHereIsNotReadFromElsewhere() throws IOException {
        OwnedRegion region = region("here");
        PayloadRef payload = access.shared(region.payload());
        assertThat(payload.node()).isEqualTo("here");
        assertThat(access.elsewhere(payload)).isFalse();
        assertThat(access.lost(payload)).isEmpty();
        access.release(payload);
        assertThat(region.released()).isTrue();
        assertThat(access.lost(payload)).contains(RejectReason.PAYLOAD_LOST);
        assertThat(access.remoteBytes()).isZero();
    }

    @Test
    void whatIsElsewhereIsReadAndGivenBackThere() throws IOException {
        OwnedRegion region = region("there");
        PayloadRef payload = elsewhere(region);
        assertThat(access.elsewhere(payload)).isTrue();
        assertThat(access.lost(payload)).isEmpty();
        try (NodeClient.Open open = access.open(payload, 100_000, 50_000)) {
            assertThat(open.memory().slice(100_000, 1).get()).isEqualTo((byte) 100);
            assertThat(open.memory().slice(149_000, 1).get()).isEqualTo((byte) 149);
        }
        assertThat(access.remoteBytes()).isEqualTo(50_000);
        assertThat(here.fetchedBytes()).as("whole pieces").isBetween(50_000L, 50_000L + 2 * 65_536);
        access.release(payload);
        Awaitility.await().until(region::released);
        assertThat(access.lost(payload)).contains(RejectReason.PAYLOAD_LOST);
        assertThatThrownBy(() -> access.open(payload, 0, 1))
                .isInstanceOf(RejectedException.class)
                .hasMessageContaining(
                        "expected generation 1, READY, it is in generation 1, RELEASED");
    }

    @Test
    void aPartialSumIsConsumedWhereverItLies() throws Exception {
        OwnedRegion region = region("there");
        try (RegionPool pool =
                new RegionPool.Place("job", root("here").toString(), 1 << 24).open(0)) {
            byte[] found = new byte[1];
            access.consume(
                    pool,
                    elsewhere(region),
                    299_001,
                    memory -> memory.slice(299_000, 1).get(found));
            assertThat(found[0]).isEqualTo((byte) (299));
            assertThat(access.remoteBytes()).as("no more than is read").isEqualTo(299_001);
            Awaitility.await().until(region::released);
        }
    }

    @Test
    void whatAHostHadThatIsGoneIsLost() throws IOException {
        PayloadRef payload = elsewhere(region("there"));
        there.abort();
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .untilAsserted(
                        () -> assertThat(access.lost(payload)).contains(RejectReason.NODE_LOST));
        assertThatThrownBy(() -> access.open(payload, 0, 1))
                .isInstanceOf(RejectedException.class)
                .hasMessageContaining("node lost: there");
    }

    /** What cannot be given back now is when its host is heard of again. */
    @Test
    void aRegionOfAHostThatIsLostIsReleasedWhenItIsBack() throws IOException {
        OwnedRegion region = region("there");
        PayloadRef payload = elsewhere(region);
        there.abort();
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .untilAsserted(
                        () -> assertThat(access.lost(payload)).contains(RejectReason.NODE_LOST));
        access.release(payload);
        access.releaseAgain();
        assertThat(region.released()).isFalse();
        node("there").join("127.0.0.1", here.address().getPort());
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .until(
                        () -> {
                            access.releaseAgain();
                            return region.released();
                        });
    }

    @Test
    void withoutNodesAllIsHere() throws IOException {
        try (PayloadStore alone = new PayloadStore.Place(root("here").toString()).open()) {
            PayloadRef payload = region("here").payload();
            assertThat(alone.shared(payload)).isEqualTo(payload);
            assertThat(alone.elsewhere(payload)).isFalse();
            assertThatThrownBy(() -> alone.open(payload.on("there"), 0, 1))
                    .hasMessageContaining("regions.node-port");
        }
    }

    @Test
    void aNodeThatIsNotThereIsNamed() {
        PayloadStore.Place place = new PayloadStore.Place(root("here").toString(), 1);
        assertThatThrownBy(place::open)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("no node on port 1 of this host");
    }
}
