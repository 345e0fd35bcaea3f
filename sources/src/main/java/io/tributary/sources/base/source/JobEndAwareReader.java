// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import io.tributary.node.PayloadStore;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.TrainerEvent.SubtaskLocated;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.connector.base.source.reader.RecordEmitter;
import org.apache.flink.connector.base.source.reader.SingleThreadMultiplexSourceReaderBase;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.core.io.InputStatus;

/**
 * A reader of events that ends when its split reader finishes a split: then the job is over. The
 * first thing it says is where it is, and among how many it is.
 *
 * @param <E> what the split reader gives
 * @param <S> the splits
 * @param <M> what is remembered of a split while it is read
 */
public abstract class JobEndAwareReader<E, S extends SourceSplit, M>
        extends SingleThreadMultiplexSourceReaderBase<E, TrainerEvent, S, M> {

    private Optional<SubtaskLocated> unsaid;
    private boolean over;

    /**
     * @param located where this is; empty for a source beside which no subtask of the tree is
     */
    protected JobEndAwareReader(
            Supplier<SplitReader<E, S>> reader,
            RecordEmitter<E, TrainerEvent, M> emitter,
            Optional<SubtaskLocated> located,
            SourceReaderContext context) {
        super(reader, emitter, context.getConfiguration(), context);
        this.unsaid = located;
    }

    /**
     * Where a reader is; without a node's name where there is one host.
     *
     * @throws IllegalStateException when there are many hosts and this one's node does not answer
     */
    public static SubtaskLocated locate(PayloadStore.Place regions, SourceReaderContext context) {
        return new SubtaskLocated(
                context.getIndexOfSubtask(), context.currentParallelism(), node(regions));
    }

    private static String node(PayloadStore.Place regions) {
        if (!regions.manyHosts()) {
            return "";
        }
        try (PayloadStore access = regions.open()) {
            return access.node();
        }
    }

    /** An event as all hosts call it. */
    protected static TrainerEvent called(TrainerEvent event, Optional<SubtaskLocated> located) {
        return located.map(SubtaskLocated::node)
                .filter(node -> !node.isEmpty())
                .map(event::by)
                .orElse(event);
    }

    @Override
    public final InputStatus pollNext(ReaderOutput<TrainerEvent> output) throws Exception {
        unsaid.ifPresent(output::collect);
        unsaid = Optional.empty();
        InputStatus status = super.pollNext(output);
        return over ? InputStatus.END_OF_INPUT : status;
    }

    @Override
    protected final void onSplitFinished(Map<String, M> finished) {
        over = true;
    }
}
