// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.TrainerEvent.SubtaskLocated;
import io.tributary.sources.base.source.JobEndAwareReader;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit;

/** Emits what its split reader finds, and remembers from where it would have to be read again. */
final class KafkaEventReader
        extends JobEndAwareReader<
                KafkaEventReader.Step, KafkaPartitionSplit, KafkaEventReader.PartitionState> {

    /**
     * A step forward in a partition.
     *
     * @param event what it gave
     * @param neededFrom offset of the first record that is still needed after it
     */
    record Step(Optional<TrainerEvent> event, long neededFrom) {}

    /** Where a partition has to be read from. */
    static final class PartitionState {

        private final KafkaPartitionSplit split;
        private long neededFrom;

        PartitionState(KafkaPartitionSplit split) {
            this.split = split;
            this.neededFrom = split.getStartingOffset();
        }
    }

    KafkaEventReader(
            Supplier<SplitReader<Step, KafkaPartitionSplit>> reader,
            Optional<SubtaskLocated> located,
            SourceReaderContext context) {
        super(
                reader,
                (step, output, state) -> {
                    state.neededFrom = step.neededFrom();
                    step.event().map(a -> called(a, located)).ifPresent(output::collect);
                },
                located,
                context);
    }

    @Override
    protected PartitionState initializedState(KafkaPartitionSplit split) {
        return new PartitionState(split);
    }

    @Override
    protected KafkaPartitionSplit toSplitType(String id, PartitionState state) {
        return new KafkaPartitionSplit(state.split.getTopicPartition(), state.neededFrom);
    }
}
