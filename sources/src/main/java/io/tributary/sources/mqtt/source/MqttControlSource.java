// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source;

import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.sources.mqtt.source.reader.ControlDecoder;
import io.tributary.sources.mqtt.source.reader.MessageDecoder;
import io.tributary.sources.mqtt.source.split.MqttSplit;
import java.util.List;
import org.apache.flink.api.connector.source.SourceReaderContext;

/** What trainers say about themselves: one split, all control topics of a job. */
public final class MqttControlSource extends MqttSource {

    private static final long serialVersionUID = 1L;

    private final String job;

    public MqttControlSource(String job, BrokerOptions broker) {
        super(broker);
        this.job = job;
    }

    @Override
    List<MqttSplit> splits() {
        return List.of(new MqttSplit("control", new Topics(job).controlFilter(), true));
    }

    @Override
    MessageDecoder decoder(SourceReaderContext context) {
        return new ControlDecoder(job);
    }

    @Override
    String clientIdPrefix() {
        return "tributary-" + job + "-control";
    }
}
