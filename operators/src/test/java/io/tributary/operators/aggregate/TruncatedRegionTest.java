// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.guard.MemoryGuard;
import io.tributary.memory.kernel.Columns;
import io.tributary.memory.kernel.FoldKernel;
import io.tributary.memory.kernel.PrivateMemory;
import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionMappings;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.DType;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TruncatedRegionTest {

    @TempDir Path temp;

    /** Without the guard this ends the JVM. */
    @Test
    void aRegionThatIsCutShortWhileItIsFoldedIsNoticedAndTheProcessLives() throws Exception {
        boolean guarded = MemoryGuard.install();
        Assumptions.assumeTrue(
                guarded || System.getenv("TRIBUTARY_REQUIRE_BPF") != null,
                "this build has no guard: apt-get install clang libc6-dev make");
        assertThat(guarded).isTrue();
        int elements = 1 << 20;
        RegionDirectory regions = new RegionDirectory(temp, 1L << 30);
        OwnedRegion region = regions.own("u", 4L * elements).orElseThrow();
        region.publish("{}");
        PayloadRef payload = region.payload();
        PrivateMemory sum = new PrivateMemory(8 * elements);
        sum.clear();
        FoldKernel kernel = FoldKernel.best();
        Columns columns = new Columns();
        try (MappedFile mapped = RegionMappings.acquire(payload)) {
            columns.add(mapped, 0, 1);
            kernel.fold(DType.F32, columns, sum, 0, false, elements);
            assertThat(RegionMappings.faults()).isZero();

            try (FileChannel file =
                    FileChannel.open(Path.of(payload.path()), StandardOpenOption.WRITE)) {
                file.truncate(100_000);
            }
            kernel.fold(DType.F32, columns, sum, 0, false, elements);

            assertThat(RegionMappings.faults()).isPositive();
            assertThat(RegionMappings.damaged(mapped)).isTrue();
        }
        region.delete();
    }
}
