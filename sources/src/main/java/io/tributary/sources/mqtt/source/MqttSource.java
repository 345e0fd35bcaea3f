// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source;

import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.message.MessageDecoder;
import io.tributary.sources.base.source.LaneSource;
import io.tributary.sources.base.source.LaneSplit;
import io.tributary.sources.mqtt.source.reader.MqttSplitReader;
import io.tributary.transport.mqtt.BrokerOptions;
import java.util.List;
import java.util.UUID;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;

/** A source of events from MQTT topics, a topic filter for each lane. */
abstract class MqttSource extends LaneSource {

    private static final long serialVersionUID = 1L;

    private final String job;
    private final Run run;
    private final BrokerOptions broker;

    MqttSource(String job, Run run, int lanes, BrokerOptions broker) {
        super(lanes, false);
        this.job = job;
        this.run = run;
        this.broker = broker;
    }

    /** The topic filters of a lane. */
    abstract List<String> filters(int lane);

    /** A decoder for one reader. */
    abstract MessageDecoder decoder(SourceReaderContext context);

    /** What this source's client ids begin with. */
    abstract String clientIdPrefix();

    @Override
    protected final SplitReader<TrainerEvent, LaneSplit> splitReader(SourceReaderContext context) {
        String clientId =
                "%s-%d-%s"
                        .formatted(
                                clientIdPrefix(), context.getIndexOfSubtask(), UUID.randomUUID());
        return new MqttSplitReader(
                broker,
                clientId,
                this::filters,
                decoder(context),
                new MqttSplitReader.End(new Topics(job).round(), run),
                context.metricGroup());
    }
}
