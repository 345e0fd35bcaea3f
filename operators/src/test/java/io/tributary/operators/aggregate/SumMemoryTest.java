// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.runtime.memory.MemoryManager;
import org.junit.jupiter.api.Test;

class SumMemoryTest {

    private static final int SUM = 1 << 16;

    /** It is Flink's managed memory that is taken, as far as there is some, and all comes back. */
    @Test
    void whatIsTakenIsFlinksToKnowOfAndComesBack() {
        MemoryManager flink = MemoryManager.create(100L * SUM, 4096);
        ManagedMemory managed = new ManagedMemory(flink);
        try (SumMemory memory = new SumMemory(Optional.empty(), managed)) {
            List<ShardSum> sums = new ArrayList<>();
            for (int i = 0; i < 120; i++) {
                sums.add(memory.zero(SUM));
            }
            assertThat(flink.availableMemory()).isZero();
            assertThat(managed.reserved()).isEqualTo(100L * SUM);
            sums.forEach(memory::giveBack);
            assertThat(flink.availableMemory()).as("64 are kept").isEqualTo(36L * SUM);
            ShardSum again = memory.of(new byte[SUM]);
            assertThat(flink.availableMemory()).as("used again").isEqualTo(36L * SUM);
            memory.giveBack(again);
        }
        assertThat(flink.availableMemory()).isEqualTo(100L * SUM);
    }
}
