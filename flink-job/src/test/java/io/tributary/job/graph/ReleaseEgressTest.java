// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RegionReleases;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.sources.base.sink.Egress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReleaseEgressTest {

    @TempDir Path temp;

    /** One that is gone already, as after a restore, holds nothing up. */
    @Test
    void allRegionsOfARecordAreReleased() throws Exception {
        Path a = Files.writeString(temp.resolve("a.region"), "x");
        Path gone = temp.resolve("gone.region");
        Path b = Files.writeString(temp.resolve("b.region"), "x");
        try (Egress<RegionReleases> egress =
                ReleaseEgress.of(new PayloadStore.Place(temp.toString())).open("writer")) {
            egress.send(
                    new RegionReleases(
                            List.of(a, gone, b).stream()
                                    .map(file -> new PayloadRef(file.toString(), 0, 1, 1))
                                    .toList(),
                            true));
            egress.flush();
        }
        assertThat(a).doesNotExist();
        assertThat(b).doesNotExist();
    }
}
