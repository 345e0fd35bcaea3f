// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.node.PayloadStore;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.message.ControlDecoder;
import io.tributary.sources.base.message.Message;
import io.tributary.sources.base.staging.Staging;
import io.tributary.transport.mqtt.BrokerOptions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class MqttSourceTest {

    @Test
    void eachLaneHasItsTopics() {
        MqttUpdateSource source =
                new MqttUpdateSource(
                        "job",
                        Run.of("secret"),
                        BrokerOptions.of("mqtt://localhost:1"),
                        () -> {
                            throw new AssertionError("not needed for topics");
                        },
                        new Staging(
                                new PayloadStore.Place("/tmp/x"), 1, Duration.ZERO, Duration.ZERO));
        assertThat(source.filters(3)).containsExactly("tributary/v1/job/update/3/+");
        assertThat(source.filters(15))
                .as("lanes counted from 1")
                .containsExactly("tributary/v1/job/update/15/+", "tributary/v1/job/update/16/+");
        assertThat(new Topics("job").update("t-7"))
                .isEqualTo("tributary/v1/job/update/" + Topics.lane("t-7") + "/t-7");
    }

    /** Whoever is not answered asks for ever. */
    @Test
    void whoeverSendsAWrongJoinIsTold() {
        ControlDecoder decoder = new ControlDecoder("job", System::nanoTime);
        List<TrainerEvent> out = new ArrayList<>();
        for (String wrong :
                List.of(
                        "{'type':'JOIN','job':'other','trainer':'t-1','instance':'i-7','group':'eu'}",
                        "{'type':'JOIN','job':'job','trainer':'t-1','instance':'i-7'}",
                        "{'type':'JION','job':'job','trainer':'t-1','instance':'i-7','group':'eu'}",
                        "{'instance':'i-7'}")) {
            decoder.accept(message("t-1", wrong.replace('\'', '"').getBytes()), out::add);
            TrainerEvent.InputRejected rejected =
                    (TrainerEvent.InputRejected) out.get(out.size() - 1);
            assertThat(rejected.deadLetter().trainer()).isEqualTo("t-1");
            assertThat(rejected.instance()).isEqualTo("i-7");
        }
        decoder.accept(message("not a name", "{}".getBytes()), out::add);
        TrainerEvent.InputRejected nobody = (TrainerEvent.InputRejected) out.get(out.size() - 1);
        assertThat(nobody.deadLetter().trainer()).isEmpty();
        assertThat(nobody.instance()).isEmpty();
    }

    @Test
    void controlMessagesMustSayWhatTheirTopicSays() {
        ControlDecoder decoder = new ControlDecoder("job", System::nanoTime);
        ControlMessage join = new ControlMessage(ControlMessage.Type.JOIN, "job", "t-1", "i", "eu");
        List<TrainerEvent> out = new ArrayList<>();
        decoder.accept(message("t-1", Json.encode(join)), out::add);
        decoder.accept(message("t-2", Json.encode(join)), out::add);
        decoder.accept(message("t-1", "garbage".getBytes()), out::add);

        assertThat(out.get(0)).isEqualTo(new TrainerEvent.Control(join));
        assertThat(((TrainerEvent.InputRejected) out.get(1)).deadLetter().text())
                .contains("speaks for trainer 't-1'");
        assertThat(((TrainerEvent.InputRejected) out.get(2)).deadLetter().reason())
                .isEqualTo(RejectReason.MALFORMED);
    }

    @Test
    void rubbishIsNotAnsweredFasterThanItsBudget() {
        AtomicLong clock = new AtomicLong(1);
        ControlDecoder decoder = new ControlDecoder("job", clock::get);
        List<TrainerEvent> out = new ArrayList<>();
        for (int i = 0; i < 20_000; i++) {
            decoder.accept(message("t-1", "garbage".getBytes()), out::add);
        }
        assertThat(out).hasSize(1_000);
        ControlMessage join = new ControlMessage(ControlMessage.Type.JOIN, "job", "t-1", "i", "eu");
        decoder.accept(message("t-1", Json.encode(join)), out::add);
        assertThat(out.get(1_000)).as("what is in order").isEqualTo(new TrainerEvent.Control(join));
    }

    private static Message message(String sender, byte[] payload) {
        return new Message("topic", 0, -1, sender, Map.of(), payload, () -> {});
    }
}
