// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.Arrival.Located;
import io.tributary.shm.flow.EndingReader;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit;

/** Emits what its split reader finds, and remembers from where it would have to be read again. */
final class KafkaArrivalReader
        extends EndingReader<
                KafkaArrivalReader.Step, KafkaPartitionSplit, KafkaArrivalReader.PartitionState> {

    /**
     * A step forward in a partition.
     *
     * @param arrival what it gave
     * @param neededFrom offset of the first record that is still needed after it
     */
    record Step(Optional<Arrival> arrival, long neededFrom) {}

    /** Where a partition has to be read from. */
    static final class PartitionState {

        private final KafkaPartitionSplit split;
        private long neededFrom;

        PartitionState(KafkaPartitionSplit split) {
            this.split = split;
            this.neededFrom = split.getStartingOffset();
        }
    }

    KafkaArrivalReader(
            Supplier<SplitReader<Step, KafkaPartitionSplit>> reader,
            Optional<Located> located,
            SourceReaderContext context) {
        super(
                reader,
                (step, output, state) -> {
                    state.neededFrom = step.neededFrom();
                    step.arrival().map(a -> called(a, located)).ifPresent(output::collect);
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
