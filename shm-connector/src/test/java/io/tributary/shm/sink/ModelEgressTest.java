// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.sink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RoomRequest;
import io.tributary.node.PayloadStore;
import io.tributary.protocol.message.ModelDescription;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelEgressTest {

    private static final int BYTES = 1 << 20;

    @TempDir Path temp;

    private final AtomicLong nanos = new AtomicLong();
    private final AtomicInteger rings = new AtomicInteger();
    private Path file;
    private JobDirectory files;

    @BeforeEach
    void writeModel() throws IOException {
        file = Files.write(temp.resolve("model"), new byte[BYTES]);
        files = JobDirectory.of(temp.resolve("regions"), "job");
    }

    private ModelEgress<ModelDescription> egress() {
        return new ModelEgress<>(
                new ShmEgresses(
                        "job",
                        new PayloadStore.Place(temp.resolve("regions").toString()),
                        3 * BYTES,
                        1),
                model -> model,
                model -> file.toString(),
                new ModelEgress.Bell(rings::incrementAndGet, () -> {}),
                nanos::get);
    }

    private static ModelDescription model(int round) {
        return new ModelDescription("job", "run", round, 0, BYTES, BYTES, 7, 0, "");
    }

    private OwnedRegion taken() throws IOException {
        return files.regions(3 * BYTES).own("job/updates/00-x", 2 * BYTES).orElseThrow();
    }

    @Test
    void aModelWithoutRoomIsLeftForLaterAndRoomIsAskedFor() throws IOException {
        ModelEgress<ModelDescription> egress = egress();
        try (OwnedRegion update = taken()) {
            assertThat(egress.send(model(1))).isZero();
            assertThat(egress.there(model(1))).isFalse();
            assertThat(RoomRequest.pending(files)).isTrue();
            assertThat(rings).hasValue(0);
            Files.delete(update.file());
        }
        nanos.set(ModelEgress.PATIENCE.toNanos());
        assertThat(egress.send(model(1))).isEqualTo(BYTES);
        assertThat(egress.there(model(1))).isTrue();
        assertThat(egress.send(model(1))).isEqualTo(BYTES);
        assertThat(rings).as("trainers hear of it, once").hasValue(1);
        assertThat(RoomRequest.pending(files)).isFalse();
        egress.close();
    }

    @Test
    void noRoomForTooLongIsAnErrorThatSaysWhatTheQuotaIsFor() throws IOException {
        ModelEgress<ModelDescription> egress = egress();
        try (OwnedRegion update = taken()) {
            assertThat(egress.send(model(1))).isZero();
            nanos.set(ModelEgress.PATIENCE.toNanos() + 1);
            assertThatThrownBy(() -> egress.send(model(2)))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("no room for model 2")
                    .hasMessageContaining("two models");
            assertThat(update.released()).isFalse();
        }
        egress.close();
        assertThat(RoomRequest.pending(files)).as("nobody asks any more").isFalse();
    }
}
