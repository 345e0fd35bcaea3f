// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source;

import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.sources.base.message.ControlDecoder;
import io.tributary.sources.base.message.MessageDecoder;
import io.tributary.transport.mqtt.BrokerOptions;
import java.util.List;
import org.apache.flink.api.connector.source.SourceReaderContext;

/** What trainers say about themselves: one split, all control topics of a job. */
public final class MqttControlSource extends MqttSource {

    private static final long serialVersionUID = 1L;

    private final String job;

    public MqttControlSource(String job, Run run, BrokerOptions broker) {
        super(job, run, 1, broker);
        this.job = job;
    }

    @Override
    List<String> filters(int lane) {
        return List.of(new Topics(job).controlFilter());
    }

    @Override
    MessageDecoder decoder(SourceReaderContext context) {
        return new ControlDecoder(job, System::nanoTime);
    }

    @Override
    String clientIdPrefix() {
        return "tributary-" + job + "-control";
    }
}
