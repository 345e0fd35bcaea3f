// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.reader;

import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.sources.mqtt.source.split.MqttSplit;
import java.util.Map;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.base.source.reader.SingleThreadMultiplexSourceReaderBase;

/** Emits what its split reader has decoded. */
public final class MqttSourceReader
        extends SingleThreadMultiplexSourceReaderBase<Arrival, Arrival, MqttSplit, MqttSplit> {

    public MqttSourceReader(
            BrokerOptions broker,
            String clientId,
            MessageDecoder decoder,
            SourceReaderContext context) {
        super(
                () -> new MqttSplitReader(broker, clientId, decoder, context.metricGroup()),
                (arrival, output, split) -> output.collect(arrival),
                context.getConfiguration(),
                context);
    }

    @Override
    protected void onSplitFinished(Map<String, MqttSplit> finished) {
        throw new IllegalStateException("topic filters do not end: " + finished.keySet());
    }

    @Override
    protected MqttSplit initializedState(MqttSplit split) {
        return split;
    }

    @Override
    protected MqttSplit toSplitType(String id, MqttSplit state) {
        return state.begun();
    }
}
