// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.model.LedgerPart;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.TrainerEvent;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.util.OutputTag;

/** What flows into and out of the coordinator, besides its main output of round states. */
public final class CoordinatorOutputs {

    /** Type of what sources emit. */
    public static final TypeInformation<TrainerEvent> EVENT = StreamType.json(TrainerEvent.class);

    /** Type of the coordinator's input. */
    public static final TypeInformation<InboundEvent> INBOUND = StreamType.json(InboundEvent.class);

    /** Type of the coordinator's main output. */
    public static final TypeInformation<RoundStatus> STATUS = StreamType.json(RoundStatus.class);

    /** What trainers are to do. */
    public static final OutputTag<RoundPlan> PLANS =
            new OutputTag<>("plans", StreamType.json(RoundPlan.class));

    /** Answers to trainers. */
    public static final OutputTag<OutboundReceipt> RECEIPTS =
            new OutputTag<>("receipts", StreamType.json(OutboundReceipt.class));

    /** Which updates are in a model, in parts. */
    public static final OutputTag<LedgerPart> LEDGERS = new OutputTag<>("ledgers", LedgerPart.TYPE);

    /** What the evaluator has found out. */
    public static final OutputTag<Evaluation> EVALUATIONS =
            new OutputTag<>("evaluations", StreamType.json(Evaluation.class));

    /** Regions to be given back. */
    public static final OutputTag<RegionReleases> RELEASES =
            new OutputTag<>("releases", StreamType.json(RegionReleases.class));

    /** What was rejected. */
    public static final OutputTag<DeadLetter> DEAD_LETTERS =
            new OutputTag<>("dead-letters", StreamType.json(DeadLetter.class));

    private static final List<OutputTag<AggregatorInput>> LEVELS =
            IntStream.range(0, 3)
                    .mapToObj(i -> new OutputTag<>("level-" + i, AggregatorInput.TYPE))
                    .toList();

    private CoordinatorOutputs() {}

    /** Commands to an aggregator level; 0 is the lowest, 2 the highest that a topology can have. */
    public static OutputTag<AggregatorInput> level(int level) {
        return LEVELS.get(level);
    }
}
