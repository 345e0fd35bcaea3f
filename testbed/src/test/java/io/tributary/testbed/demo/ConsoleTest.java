// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.RoundStatus;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class ConsoleTest {

    private final ByteArrayOutputStream said = new ByteArrayOutputStream();

    private static RoundStatus status(String state, String more) {
        return Json.decode(
                """
                {"job":"digits","round":3,"epoch":0,"state":"%s","updates":1,"expected":2,
                 "groups":{},"rejected":0,"duplicates":0,"metrics":{}%s}
                """
                        .formatted(state, more)
                        .getBytes(StandardCharsets.UTF_8),
                RoundStatus.class);
    }

    private static String evaluation(int round, double accuracy) {
        return ",\"evaluation\":{\"run\":\"r\",\"round\":%d,\"epoch\":0,\"metrics\":{\"loss\":0.25,\"accuracy\":%s},\"stop\":\"\"}"
                .formatted(round, accuracy);
    }

    private Console console(boolean quiet, boolean several) {
        return new Console(new PrintStream(said, true, StandardCharsets.UTF_8), quiet, several);
    }

    private String said() {
        return said.toString(StandardCharsets.UTF_8);
    }

    @Test
    void whatAModelIsWorthIsSaidOnce() {
        Console console = console(false, false);
        console.status(status("OPEN", evaluation(2, 0.5)));
        console.status(status("CLOSED", evaluation(2, 0.5)));
        console.status(status("OPEN", evaluation(3, 0.75)));
        assertThat(said())
                .isEqualTo(
                        """
                        model  2  accuracy 0.5000, loss 0.2500
                        round  3  closed    1/2
                        model  3  accuracy 0.7500, loss 0.2500
                        """);
    }

    @Test
    void ofSeveralModelsItIsSaidWhose() {
        console(false, true).status(status("OPEN", evaluation(2, 0.5)));
        assertThat(said()).isEqualTo("digits  model  2  accuracy 0.5000, loss 0.2500\n");
    }

    @Test
    void whyARoundWasAbandonedIsSaidOnce() {
        Console console = console(false, false);
        String note = ",\"note\":\"round 3.0 had 1 updates at its deadline\"";
        console.status(status("ABANDONED", note));
        console.status(status("WAITING", note));
        assertThat(said())
                .isEqualTo(
                        """
                        round 3.0 had 1 updates at its deadline
                        round  3  abandoned   1/2
                        """);
    }

    @Test
    void aQuietOneSaysNothingOfRounds() {
        Console console = console(true, false);
        console.status(status("CLOSED", evaluation(2, 0.5) + ",\"note\":\"x\""));
        assertThat(said()).isEmpty();
    }
}
