// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import io.tributary.protocol.message.Arrival;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.base.source.reader.SingleThreadMultiplexSourceReaderBase;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit;
import org.apache.flink.core.io.InputStatus;

/** Emits what its split reader finds, and remembers from where it would have to be read again. */
final class KafkaArrivalReader
        extends SingleThreadMultiplexSourceReaderBase<
                KafkaArrivalReader.Step,
                Arrival,
                KafkaPartitionSplit,
                KafkaArrivalReader.PartitionState> {

    private boolean over;

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
            Supplier<SplitReader<Step, KafkaPartitionSplit>> reader, SourceReaderContext context) {
        super(
                reader,
                (step, output, state) -> {
                    state.neededFrom = step.neededFrom();
                    step.arrival().ifPresent(output::collect);
                },
                context.getConfiguration(),
                context);
    }

    @Override
    public InputStatus pollNext(ReaderOutput<Arrival> output) throws Exception {
        InputStatus status = super.pollNext(output);
        return over ? InputStatus.END_OF_INPUT : status;
    }

    @Override
    protected void onSplitFinished(Map<String, PartitionState> finished) {
        over = true;
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
