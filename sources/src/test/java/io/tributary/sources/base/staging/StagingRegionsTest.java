// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionPool;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StagingRegionsTest {

    private static final long QUOTA = 1 << 20;
    private static final int UPDATE = 100_000;

    @TempDir Path temp;

    @Test
    void freeSumsGiveWayToUpdatesAndSumsInUseDoNot() throws Exception {
        JobDirectory job = JobDirectory.of(temp, "job");
        RegionPool.Place place = new RegionPool.Place("job", temp.toString(), QUOTA);
        try (RegionPool pool = place.open(UPDATE);
                StagingRegions staging = new StagingRegions(job, job.regions(QUOTA))) {
            List<OwnedRegion> sums = new ArrayList<>();
            for (Optional<OwnedRegion> s = pool.take(UPDATE); s.isPresent(); ) {
                sums.add(s.get());
                s = pool.take(UPDATE);
            }
            assertThat(sums).hasSizeGreaterThanOrEqualTo(6);
            assertThat(staging.take(0, UPDATE)).isPresent();
            assertThat(staging.take(0, UPDATE)).isPresent();
            assertThat(staging.take(0, UPDATE)).as("all sums are in use").isEmpty();
            pool.giveBack(sums.get(0));
            pool.giveBack(sums.get(1));
            assertThat(staging.take(0, UPDATE)).isPresent();
            assertThat(staging.take(0, UPDATE)).isPresent();
            assertThat(staging.take(0, UPDATE)).isEmpty();
        }
    }
}
