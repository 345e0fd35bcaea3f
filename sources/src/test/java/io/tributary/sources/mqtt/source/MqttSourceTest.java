// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.Delivery;
import io.tributary.sources.mqtt.source.enumerator.MqttEnumeratorState;
import io.tributary.sources.mqtt.source.enumerator.MqttEnumeratorStateSerializer;
import io.tributary.sources.mqtt.source.enumerator.MqttSplitEnumerator;
import io.tributary.sources.mqtt.source.reader.ControlDecoder;
import io.tributary.sources.mqtt.source.split.MqttSplit;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.api.connector.source.ReaderInfo;
import org.apache.flink.api.connector.source.mocks.MockSplitEnumeratorContext;
import org.junit.jupiter.api.Test;

class MqttSourceTest {

    private static List<MqttSplit> lanes() {
        return new MqttUpdateSource(
                        "job",
                        BrokerOptions.of("tcp://localhost:1"),
                        () -> {
                            throw new AssertionError("not needed for splits");
                        },
                        new MqttUpdateSource.Staging("/tmp/x", 1, Duration.ZERO))
                .splits();
    }

    @Test
    void eachLaneIsASplit() {
        assertThat(lanes()).hasSize(Topics.LANES);
        assertThat(lanes().get(3).filter()).isEqualTo("tributary/v1/job/update/3/+");
        assertThat(new Topics("job").update("t-7"))
                .isEqualTo("tributary/v1/job/update/" + Topics.lane("t-7") + "/t-7");
    }

    @Test
    void lanesAreDealtOutOnceAllReadersAreThereAndAgainWhenTheyComeBack() throws Exception {
        try (var context = new MockSplitEnumeratorContext<MqttSplit>(3);
                var enumerator =
                        new MqttSplitEnumerator(context, new MqttEnumeratorState(lanes()))) {
            for (int reader = 0; reader < 3; reader++) {
                assertThat(context.getSplitsAssignmentSequence()).isEmpty();
                context.registerReader(new ReaderInfo(reader, "host"));
                enumerator.addReader(reader);
            }
            var assignment = context.getSplitsAssignmentSequence().get(0).assignment();
            Set<MqttSplit> dealt = new HashSet<>();
            assignment.values().forEach(dealt::addAll);
            assertThat(dealt).hasSize(Topics.LANES);
            assertThat(assignment.values()).allMatch(splits -> splits.size() >= 5);
            assertThat(enumerator.snapshotState(1).unassigned()).isEmpty();

            enumerator.addSplitsBack(assignment.get(1), 1);
            var again = context.getSplitsAssignmentSequence().get(1).assignment();
            assertThat(again.values().stream().mapToInt(List::size).sum())
                    .isEqualTo(assignment.get(1).size());
        }
    }

    @Test
    void enumeratorStateComesBack() throws Exception {
        MqttEnumeratorStateSerializer serializer = new MqttEnumeratorStateSerializer();
        MqttEnumeratorState state = new MqttEnumeratorState(lanes());
        assertThat(serializer.deserialize(serializer.getVersion(), serializer.serialize(state)))
                .isEqualTo(state);
    }

    @Test
    void controlMessagesMustSayWhatTheirTopicSays() {
        ControlDecoder decoder = new ControlDecoder("job");
        ControlMessage join = new ControlMessage(ControlMessage.Type.JOIN, "job", "t-1", "i", "eu");
        List<Arrival> out = new ArrayList<>();
        for (String topic :
                List.of("tributary/v1/job/control/t-1", "tributary/v1/job/control/t-2")) {
            decoder.accept(new Delivery(topic, Json.encode(join), Map.of(), () -> {}), out::add);
        }
        decoder.accept(
                new Delivery(
                        "tributary/v1/job/control/t-1", "garbage".getBytes(), Map.of(), () -> {}),
                out::add);

        assertThat(out.get(0)).isEqualTo(new Arrival.Control(join));
        assertThat(((Arrival.Refused) out.get(1)).deadLetter().text())
                .contains("speaks for trainer 't-1'");
        assertThat(((Arrival.Refused) out.get(2)).deadLetter().reason())
                .isEqualTo(RejectReason.MALFORMED);
    }
}
