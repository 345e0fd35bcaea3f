// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.PrivateMemory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionPool;
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
final class SumMemory implements AutoCloseable {

    /** Free memory of one length that is kept for later. */
    private static final int MAX_FREE = 64;

    private final Optional<RegionPool> pool;
    private final ManagedMemory managed;
    private final Map<Integer, Deque<PrivateMemory>> free = new HashMap<>();

    SumMemory(Optional<RegionPool> pool, ManagedMemory managed) {
        this.pool = pool;
        this.managed = managed;
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
        Deque<PrivateMemory> same = free.get(bytes);
        return new ShardSum(
                same == null || same.isEmpty() ? own(bytes) : same.pop(), Optional.empty());
    }

    private PrivateMemory own(int bytes) {
        managed.reserve(bytes);
        return new PrivateMemory(bytes);
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
        PrivateMemory own = (PrivateMemory) sum.memory();
        Deque<PrivateMemory> same =
                free.computeIfAbsent((int) own.length(), length -> new ArrayDeque<>());
        if (same.size() < MAX_FREE) {
            same.push(own);
        } else {
            free(own);
        }
    }

    private void free(PrivateMemory memory) {
        managed.release(memory.length());
        memory.close();
    }

    /** Frees what has been given back. */
    @Override
    public void close() {
        free.values().forEach(same -> same.forEach(this::free));
        free.clear();
        managed.close();
    }
}
