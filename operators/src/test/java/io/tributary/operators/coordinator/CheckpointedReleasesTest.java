// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.memory.region.RegionWriter;
import io.tributary.node.PayloadStore;
import io.tributary.protocol.message.PayloadRef;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointedReleasesTest {

    @TempDir Path temp;

    private RegionDirectory directory;
    private PayloadStore store;
    private CheckpointedReleases releases;

    @BeforeEach
    void open() {
        directory = new RegionDirectory(temp.resolve("job"), 1 << 20);
        store = new PayloadStore.Place(temp.toString()).open();
        releases = new CheckpointedReleases(store);
    }

    @AfterEach
    void close() {
        store.close();
    }

    private boolean released(PayloadRef payload) {
        Path file = Path.of(payload.path());
        return !Files.exists(file) || RegionHeader.read(file).state() == State.RELEASED;
    }

    @Test
    void aRegionIsReleasedWhenTheCheckpointThatHoldsItsFoldHasCompleted() throws Exception {
        PayloadRef first = region("first");
        PayloadRef second = region("second");
        releases.whenCheckpointed(first);
        assertThat(releases.snapshot(1)).containsExactly(first);
        releases.whenCheckpointed(second);
        releases.completed(1);
        assertThat(released(first)).isTrue();
        assertThat(released(second)).as("its fold is in no checkpoint yet").isFalse();
        assertThat(releases.snapshot(2)).containsExactly(second);
        releases.completed(2);
        assertThat(released(second)).isTrue();
    }

    /** A checkpoint that failed is never completed; the next one holds what it held. */
    @Test
    void whatAFailedCheckpointHeldIsReleasedWithTheNext() throws Exception {
        PayloadRef first = region("first");
        PayloadRef second = region("second");
        releases.whenCheckpointed(first);
        releases.snapshot(1);
        releases.whenCheckpointed(second);
        assertThat(releases.snapshot(2))
                .containsExactlyInAnyOrderElementsOf(List.of(first, second));
        releases.completed(2);
        assertThat(released(first)).isTrue();
        assertThat(released(second)).isTrue();
        assertThat(releases.snapshot(3)).isEmpty();
    }

    @Test
    void aFileThatIsNoRegionIsSomebodyElses() throws Exception {
        Path file = Files.createFile(temp.resolve("update.safetensors"));
        releases.whenCheckpointed(new PayloadRef(file.toString(), 0, 0, 0));
        assertThat(releases.snapshot(1)).isEmpty();
        releases.completed(1);
        assertThat(file).exists();
    }

    private PayloadRef region(String name) throws Exception {
        try (RegionWriter writer = directory.reserve(name, 8).orElseThrow()) {
            writer.publish(0, "{}");
            return writer.payload();
        }
    }
}
