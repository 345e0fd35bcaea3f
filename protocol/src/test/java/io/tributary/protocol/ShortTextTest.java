// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Metrics;
import io.tributary.protocol.message.Receipt;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.StringLength;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Item 1: what quotes input is bounded. */
class ShortTextTest {

    @Property
    void fitsAndIsOneLineOfSoundUtf8(
            @ForAll @StringLength(max = 300) String text,
            @ForAll @IntRange(min = 3, max = 200) int max) {
        String kept = ShortText.of(text, max);
        byte[] bytes = kept.getBytes(StandardCharsets.UTF_8);
        assertThat(bytes.length).isLessThanOrEqualTo(max);
        assertThat(new String(bytes, StandardCharsets.UTF_8)).isEqualTo(kept);
        assertThat(kept.codePoints()).noneMatch(Character::isISOControl);
    }

    @Test
    void keepsWhatFitsAndMarksWhatIsCut() {
        assertThat(ShortText.of("tensor 'ü€𝄞' is 3", 100)).isEqualTo("tensor 'ü€𝄞' is 3");
        assertThat(ShortText.of("a\nb\u0000\ud800c", 100)).isEqualTo("a?b??c");
        assertThat(ShortText.of("0123456789", 10)).isEqualTo("0123456789");
        assertThat(ShortText.of("0123456789x", 10)).isEqualTo("0123456…");
    }

    /** Any input gives a dead letter of at most 4 KiB, also as the JSON that is sent. */
    @ParameterizedTest
    @ValueSource(strings = {"\"", "\\", "x", "\u0001", "€", "\ud800", "𝄞", "<"})
    void aDeadLetterIsSmallWhateverItQuotes(String repeated) {
        String huge = repeated.repeat(1_200_000);
        DeadLetter letter =
                new DeadLetter(
                        huge,
                        huge,
                        Integer.MIN_VALUE,
                        Long.MIN_VALUE,
                        RejectReason.CHUNK_UNKNOWN_ATTEMPT,
                        huge);
        assertThat(Json.encode(letter).length).isLessThanOrEqualTo(4096);
        Receipt receipt =
                new Receipt(
                        "j",
                        "run",
                        "t",
                        "",
                        1,
                        0,
                        1,
                        "00000000",
                        0,
                        Receipt.Status.REJECTED,
                        RejectReason.MALFORMED,
                        huge,
                        "");
        assertThat(Json.encode(receipt).length).isLessThanOrEqualTo(4096);
        assertThat(
                        new RejectedException(RejectReason.MALFORMED, huge)
                                .getMessage()
                                .getBytes(StandardCharsets.UTF_8)
                                .length)
                .isLessThanOrEqualTo(1000);
    }

    @Test
    void metricsAreBounded() {
        Map<String, Double> many = new HashMap<>();
        for (int i = 0; i < 1000; i++) {
            many.put("m" + i, 1.0);
        }
        many.put("x".repeat(65), 1.0);
        many.put("a", Double.NaN);
        many.put("b", Double.POSITIVE_INFINITY);
        assertThat(Metrics.kept(many)).hasSize(32).doesNotContainKeys("a", "b", "x".repeat(65));
        assertThat(
                        Metrics.kept(
                                Map.of(
                                        "a\u0085",
                                        1.0,
                                        "\ud800",
                                        1.0,
                                        "\uffff",
                                        1.0,
                                        "précision",
                                        1.0)))
                .isEqualTo(Map.of("précision", 1.0));
        assertThat(Metrics.of(Json.tree("{\"loss\":0.5,\"x\":\"y\",\"z\":null}".getBytes())))
                .isEqualTo(Map.of("loss", 0.5));
    }
}
