// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source;

import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.sources.mqtt.source.enumerator.MqttEnumeratorState;
import io.tributary.sources.mqtt.source.enumerator.MqttEnumeratorStateSerializer;
import io.tributary.sources.mqtt.source.enumerator.MqttSplitEnumerator;
import io.tributary.sources.mqtt.source.reader.MessageDecoder;
import io.tributary.sources.mqtt.source.reader.MqttSourceReader;
import io.tributary.sources.mqtt.source.split.MqttSplit;
import io.tributary.sources.mqtt.source.split.MqttSplitSerializer;
import java.util.List;
import java.util.UUID;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * A source of arrivals from MQTT topics. It is at most once by itself; a trainer that gets no
 * receipt sends again.
 */
abstract class MqttSource implements Source<Arrival, MqttSplit, MqttEnumeratorState> {

    private static final long serialVersionUID = 1L;

    private final BrokerOptions broker;

    MqttSource(BrokerOptions broker) {
        this.broker = broker;
    }

    /** All splits. */
    abstract List<MqttSplit> splits();

    /** A decoder for one reader. */
    abstract MessageDecoder decoder(SourceReaderContext context);

    /** What this source's client ids begin with. */
    abstract String clientIdPrefix();

    @Override
    public final Boundedness getBoundedness() {
        return Boundedness.CONTINUOUS_UNBOUNDED;
    }

    @Override
    public final SplitEnumerator<MqttSplit, MqttEnumeratorState> createEnumerator(
            SplitEnumeratorContext<MqttSplit> context) {
        return new MqttSplitEnumerator(context, new MqttEnumeratorState(splits()));
    }

    @Override
    public final SplitEnumerator<MqttSplit, MqttEnumeratorState> restoreEnumerator(
            SplitEnumeratorContext<MqttSplit> context, MqttEnumeratorState state) {
        return new MqttSplitEnumerator(context, state);
    }

    @Override
    public final SourceReader<Arrival, MqttSplit> createReader(SourceReaderContext context) {
        String clientId =
                "%s-%d-%s"
                        .formatted(
                                clientIdPrefix(), context.getIndexOfSubtask(), UUID.randomUUID());
        return new MqttSourceReader(broker, clientId, decoder(context), context);
    }

    @Override
    public final SimpleVersionedSerializer<MqttSplit> getSplitSerializer() {
        return new MqttSplitSerializer();
    }

    @Override
    public final SimpleVersionedSerializer<MqttEnumeratorState>
            getEnumeratorCheckpointSerializer() {
        return new MqttEnumeratorStateSerializer();
    }
}
