// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.TrainerShare;

/**
 * Which model trainers were last asked about, and which trainers. Mutable; a part of {@link
 * CoordinatorState}.
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
final class EvaluationState {

    /** The model's version; before the first, none. */
    private int modelRound = -1;

    private long modelEpoch;

    /** The buckets of those that were asked. */
    private int from;

    private int buckets = TrainerShare.BUCKETS;

    /** How many there are. */
    private int asked;

    /** Asks at least this share of the trainers, those whose turn it is, about a model. */
    void begin(RoundId model, double share, Trainers trainers) {
        boolean first = modelRound < 0;
        modelRound = model.round();
        modelEpoch = model.epoch();
        from = first ? 0 : (from + buckets) % TrainerShare.BUCKETS;
        int wanted = Math.max(1, (int) Math.ceil(share * trainers.members()));
        if (wanted >= trainers.members()) {
            buckets = TrainerShare.BUCKETS;
            asked = trainers.members();
            return;
        }
        asked = 0;
        buckets = 0;
        while (asked < wanted && buckets < TrainerShare.BUCKETS) {
            asked += trainers.members((from + buckets) % TrainerShare.BUCKETS);
            buckets++;
        }
    }

    /** Whether trainers have been, or are, asked about a model. */
    boolean about(RoundId model) {
        return model.equals(new RoundId(modelRound, modelEpoch));
    }

    TrainerShare who() {
        return new TrainerShare(from, buckets);
    }

    /** How many were asked. */
    int asked() {
        return asked;
    }
}
