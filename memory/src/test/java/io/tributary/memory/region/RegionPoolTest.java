// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RegionPoolTest {

    private static final long QUOTA = 1 << 20;
    private static final int UPDATE = 200_000;
    private static final int SUM = 50_000;

    @TempDir Path temp;

    private RegionPool.Place place(long quotaBytes) {
        return new RegionPool.Place("job", temp.toString(), quotaBytes);
    }

    @Test
    void sumsLeaveRoomForTwoUpdates() throws Exception {
        RegionDirectory regions = JobDirectory.of(temp, "job").regions(QUOTA);
        try (RegionPool pool = place(QUOTA).open(UPDATE)) {
            List<OwnedRegion> taken = new ArrayList<>();
            Optional<OwnedRegion> sum = pool.take(SUM);
            while (sum.isPresent()) {
                taken.add(sum.get());
                sum = pool.take(SUM);
            }
            assertThat(taken).hasSizeBetween(10, 12);
            assertThat(regions.reserve("t-1", UPDATE)).isPresent();
            assertThat(regions.reserve("t-2", UPDATE)).isPresent();
            assertThat(regions.reserve("t-3", UPDATE)).isEmpty();
            pool.giveBack(taken.get(0));
            assertThat(pool.take(SUM)).contains(taken.get(0));
        }
    }

    @Test
    void whereThereIsRoomForUpdatesAloneSumsGetNone() {
        try (RegionPool pool = place(2 * UPDATE).open(UPDATE)) {
            assertThat(pool.take(1)).isEmpty();
        }
    }
}
