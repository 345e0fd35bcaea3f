// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import java.util.Optional;
import org.apache.flink.api.common.typeinfo.TypeInformation;

/**
 * A shard of a new global model.
 *
 * @param round the version of the model
 * @param base the version that trainers started from
 * @param shard which shard
 * @param bytes its elements as they stand in the model file, not to be changed; empty where they
 *     lie in a region
 * @param region where they lie on this host; the reader gives the region back
 * @param flaw why the model cannot be used; empty where all elements of the shard are finite
 * @param lastUpdateMicros when the round's last update came, µs since 1970
 */
public record ModelShard(
        RoundId round,
        RoundId base,
        int shard,
        byte[] bytes,
        Optional<PayloadRef> region,
        String flaw,
        long lastUpdateMicros) {

    /** How Flink serialises it. */
    public static final TypeInformation<ModelShard> TYPE =
            StreamType.binary(ModelShard.class, ModelShardSerializer.INSTANCE);

    /** The same without its elements. */
    ModelShard without() {
        return with(new byte[0]);
    }

    /** The same with its elements. */
    ModelShard with(byte[] itsBytes) {
        return new ModelShard(
                round, base, shard, itsBytes, Optional.empty(), flaw, lastUpdateMicros);
    }
}
