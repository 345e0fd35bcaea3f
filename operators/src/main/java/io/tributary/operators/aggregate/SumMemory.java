// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.shm.kernel.Memory;
import io.tributary.shm.kernel.PrivateMemory;
import io.tributary.shm.region.OwnedRegion;
import io.tributary.shm.region.RegionPool;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Memory for sums, used again and again: what has been touched once is several times faster. From
 * the pool of regions where there is one and it has room, this process's own where not. Not
 * thread-safe.
 */
final class SumMemory {

    /** Free memory of one length that is kept for later. */
    private static final int MAX_FREE = 64;

    private final Optional<RegionPool> pool;
    private final Map<Integer, Deque<Memory>> free = new HashMap<>();

    SumMemory(Optional<RegionPool> pool) {
        this.pool = pool;
    }

    /** Sums that are zero. */
    ShardSum zero(int bytes) {
        ShardSum sum = take(bytes);
        sum.memory().clear();
        return sum;
    }

    /** Memory with anything in it. */
    ShardSum take(int bytes) {
        Optional<OwnedRegion> region = pool.flatMap(p -> p.take(bytes));
        if (region.isPresent()) {
            return new ShardSum(region.get().memory(), region);
        }
        Deque<Memory> same = free.get(bytes);
        return new ShardSum(
                same == null || same.isEmpty() ? new PrivateMemory(bytes) : same.pop(),
                Optional.empty());
    }

    /** Sums that somebody has copied. */
    ShardSum of(byte[] bytes) {
        ShardSum sum = take(bytes.length);
        sum.memory().slice(0, bytes.length).put(bytes);
        return sum;
    }

    /** Takes sums back that nobody needs any more. */
    void giveBack(ShardSum sum) {
        if (sum.region().isPresent()) {
            pool.orElseThrow().giveBack(sum.region().get());
            return;
        }
        Deque<Memory> same =
                free.computeIfAbsent((int) sum.memory().length(), length -> new ArrayDeque<>());
        if (same.size() < MAX_FREE) {
            same.push(sum.memory());
        }
    }
}
