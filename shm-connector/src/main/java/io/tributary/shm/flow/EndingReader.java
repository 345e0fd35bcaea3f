// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.flow;

import io.tributary.protocol.message.Arrival;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.connector.base.source.reader.RecordEmitter;
import org.apache.flink.connector.base.source.reader.SingleThreadMultiplexSourceReaderBase;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.core.io.InputStatus;

/**
 * A reader of arrivals that ends when its split reader finishes a split: then the job is over.
 *
 * @param <E> what the split reader gives
 * @param <S> the splits
 * @param <M> what is remembered of a split while it is read
 */
public abstract class EndingReader<E, S extends SourceSplit, M>
        extends SingleThreadMultiplexSourceReaderBase<E, Arrival, S, M> {

    private boolean over;

    protected EndingReader(
            Supplier<SplitReader<E, S>> reader,
            RecordEmitter<E, Arrival, M> emitter,
            SourceReaderContext context) {
        super(reader, emitter, context.getConfiguration(), context);
    }

    @Override
    public final InputStatus pollNext(ReaderOutput<Arrival> output) throws Exception {
        InputStatus status = super.pollNext(output);
        return over ? InputStatus.END_OF_INPUT : status;
    }

    @Override
    protected final void onSplitFinished(Map<String, M> finished) {
        over = true;
    }
}
