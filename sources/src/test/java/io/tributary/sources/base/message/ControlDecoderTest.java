// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.message;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.TrainerEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ControlDecoderTest {

    private final ControlDecoder decoder = new ControlDecoder("job", () -> 0);
    private final List<TrainerEvent> events = new ArrayList<>();

    private TrainerEvent only(String json) {
        events.clear();
        decoder.accept(
                new Message("topic", 0, -1, "t", Map.of(), json.getBytes(), () -> {}), events::add);
        assertThat(events).hasSize(1);
        return events.get(0);
    }

    private static String join(String more) {
        return "{%s\"type\":\"JOIN\",\"job\":\"job\",\"trainer\":\"t\",\"instance\":\"i\",\"group\":\"g\"}"
                .formatted(more);
    }

    @Test
    void whatIsNewAndMayBeIgnoredIsIgnored() {
        assertThat(only(join("\"version\":7,\"battery\":0.3,")))
                .isInstanceOf(TrainerEvent.Control.class);
    }

    /** A newer client is told why this job does not let it join. */
    @Test
    void whatMustBeUnderstoodAndIsNotIsAnswered() {
        assertThat(only(join("\"must\":[\"masks\"],")))
                .isInstanceOfSatisfying(
                        TrainerEvent.InputRejected.class,
                        rejected -> {
                            assertThat(rejected.instance()).isEqualTo("i");
                            assertThat(rejected.deadLetter().trainer()).isEqualTo("t");
                            assertThat(rejected.deadLetter().reason())
                                    .isEqualTo(RejectReason.UNSUPPORTED);
                            assertThat(rejected.deadLetter().text())
                                    .startsWith("control message: it must be read with [masks]");
                        });
    }
}
