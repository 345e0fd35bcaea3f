// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.memory.kernel.Memory;
import io.tributary.memory.region.RegionMappings;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.rule.AggregationRule;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.ModelLayout.Segment;
import java.util.List;

/**
 * Aggregates all updates of a round at once, shard by shard.
 *
 * @param updates where they are
 * @param rule how
 */
record Gathering(ModelLayout layout, FoldedUpdates updates, AggregationRule.Gathering rule) {

    /**
     * Aggregates all that waits at once. The result stands as a sum of weight 1.
     *
     * @param sum where the result goes
     * @return bytes of updates read
     */
    long gather(int shard, LiveAccumulator fold, Memory sum) {
        List<FoldUpdate> all = fold.waiting.stream().map(FoldUpdate.class::cast).toList();
        long bytes = 0;
        List<Segment> segments = layout.segments(shard);
        for (int s = 0; s < segments.size(); s++) {
            Segment segment = segments.get(s);
            // To open one is not free: there may be more than can be mapped at once.
            List<FoldUpdate> its =
                    layout.inEach(segment)
                            ? all
                            : all.stream()
                                    .filter(update -> updates.open(update, shard).has(segment))
                                    .toList();
            if (!its.isEmpty()) {
                fold.weights.add(s, 1, its.size());
                bytes += gather(shard, segment, its, sum);
            }
        }
        fold.contributions += all.size();
        fold.waiting.clear();
        return bytes;
    }

    private long gather(int shard, Segment segment, List<FoldUpdate> its, Memory sum) {
        DType type = layout.type(segment);
        long faults = RegionMappings.faults();
        GatheredRun run = new GatheredRun(its.stream().mapToLong(FoldUpdate::samples).toArray());
        for (int from = 0; from < segment.count(); from += run.most()) {
            int count = Math.min(run.most(), segment.count() - from);
            run.begin(count);
            for (int k = 0; k < its.size(); k++) {
                MappedUpdateCache.Update update = updates.open(its.get(k), shard);
                long at = update.offset(segment) + (long) from * type.bytes();
                if (!run.read(k, type, update.file().mapped(), at)) {
                    throw updates.notFinite(its.get(k));
                }
                // Others of this process map regions too; theirs are of no matter here.
                if (RegionMappings.faults() > faults
                        && RegionMappings.damaged(update.file().mapped())) {
                    throw FoldedUpdates.truncated();
                }
            }
            run.aggregate(rule);
            run.write(type, sum, segment.sumAt() + (long) from * type.sumBytes());
        }
        return (long) segment.count() * type.bytes() * its.size();
    }
}
