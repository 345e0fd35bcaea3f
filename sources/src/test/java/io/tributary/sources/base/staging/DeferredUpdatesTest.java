// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.sources.base.message.Message;
import java.util.Map;
import org.junit.jupiter.api.Test;

class DeferredUpdatesTest {

    private final DeferredUpdates deferred = new DeferredUpdates();

    private void add(String trainer, int round) {
        deferred.add(
                new ChunkHeader(
                        "j",
                        trainer,
                        round,
                        0,
                        "i",
                        "token",
                        1,
                        1,
                        UpdateKind.WEIGHTS,
                        Map.of(),
                        new ChunkPart(0, 1, 1024, 4, 0, 0)),
                new Message("topic", 0, -1, trainer, Map.of(), new byte[4], () -> {}));
    }

    @Test
    void anOlderUpdateOfATrainerThatWaitsHasNoSecondPlace() {
        add("a", 5);
        add("a", 4);
        add("b", 5);

        assertThat(deferred.first().orElseThrow().header().round()).isEqualTo(5);
        deferred.removeFirst();
        assertThat(deferred.first().orElseThrow().header().trainer()).isEqualTo("b");
        deferred.removeFirst();
        assertThat(deferred.isEmpty()).isTrue();
        assertThat(deferred.first()).isEmpty();
    }
}
