// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.WireMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class MessagesTest {

    static Object[] messages() {
        Claim claim =
                new Claim(
                        "j",
                        "t",
                        3,
                        RoundId.epoch(1, -1),
                        12,
                        10,
                        UpdateKind.DELTA,
                        -5,
                        false,
                        new PayloadRef("/x", 4096, 1L << 40, 1),
                        Map.of("loss", 1.5));
        DeadLetter letter = new DeadLetter("topic", "t", 1, 0, RejectReason.LATE, "why");
        return new Object[] {
            claim,
            letter,
            new TrainerEvent.UpdateStaged(claim),
            new TrainerEvent.InputRejected(letter, true, 12),
            new TrainerEvent.InputRejected(letter, false, 0, "i"),
            new TrainerEvent.Control(new ControlMessage(Type.JOIN, "j", "t", "i", "default/us")),
            new ControlMessage(Type.LEAVE, "j", "t", "i", "eu"),
            new RoundPlan(
                    "j", RoundPlan.State.OPEN, 3, 1, 2, 0, UpdateKind.WEIGHTS, 2.5, 0, "run", ""),
            new ModelDescription("j", "run", 2, 0, 1L << 33, 1 << 20, 99, 12.5, ""),
            new Receipt(
                    "j",
                    "run",
                    "t",
                    "",
                    3,
                    1,
                    12,
                    "e3069283",
                    0,
                    Receipt.Status.COMMITTED,
                    RejectReason.NONE,
                    "",
                    ""),
            new RoundStatus(
                    "j",
                    3,
                    1,
                    RoundStatus.State.OPEN,
                    1,
                    2,
                    Map.of(
                            "us",
                            new RoundStatus.GroupStatus(
                                    1, 2, Map.of("loss", new MetricSummary(1, 1, 1, 1, 1)))),
                    0,
                    0,
                    Map.of("loss", 0.5),
                    new Evaluation("r", 2, 1, Map.of("accuracy", 0.9), "good enough"),
                    Map.of("loss", new MetricSummary(2, 0.5, 1.5, 0.25, 1.25)),
                    "accuracy is 0.9"),
            new ControlMessage(
                    Type.EVALUATION,
                    "j",
                    "judge",
                    "i",
                    "evaluator",
                    new Evaluation("r", 2, 1, Map.of("accuracy", 0.9), ""))
        };
    }

    @ParameterizedTest
    @MethodSource("messages")
    void comesBackFromJson(Object message) {
        Class<?> type = message instanceof TrainerEvent ? TrainerEvent.class : message.getClass();
        assertThat(Json.decode(Json.encode(message), (Class<?>) type)).isEqualTo(message);
    }

    @Property
    void garbageIsRejected(@ForAll byte[] garbage) {
        try {
            Json.decode(garbage, ControlMessage.class);
        } catch (RejectedException expected) {
            assertThat(expected.reason()).isEqualTo(RejectReason.MALFORMED);
            assertThat(expected.getMessage()).doesNotContain("\n");
        }
    }

    @Property
    void truncatedMessagesAreRejected(
            @ForAll @net.jqwik.api.constraints.IntRange(max = 60) int cut) {
        byte[] whole = Json.encode(new ControlMessage(Type.JOIN, "job", "trainer", "i", "group"));
        assertThatThrownBy(
                        () ->
                                Json.decode(
                                        Arrays.copyOf(whole, cut % whole.length),
                                        ControlMessage.class))
                .isInstanceOf(RejectedException.class);
    }

    @Test
    void missingFieldsAreRejected() {
        assertThatThrownBy(
                        () -> Json.decode("{\"type\":\"JOIN\"}".getBytes(), ControlMessage.class))
                .isInstanceOf(RejectedException.class)
                .hasMessageContaining("ControlMessage")
                .hasMessageNotContaining("line -1");
    }

    @Test
    void newerPeersMaySayMore() {
        String json =
                "{\"type\":\"JOIN\",\"job\":\"j\",\"trainer\":\"t\",\"instance\":\"i\","
                        + "\"group\":\"g\",\"battery\":0.3}";
        assertThat(ControlMessage.decode(json.getBytes()).trainer()).isEqualTo("t");
    }

    /** Who must not ignore something is asked by name, and says what it does not know. */
    @Test
    void whatMustBeUnderstoodIsNotIgnored() {
        String json =
                "{\"version\":2,\"must\":[%s],\"type\":\"JOIN\",\"job\":\"j\",\"trainer\":\"t\","
                        + "\"instance\":\"i\",\"group\":\"g\"}";
        assertThat(ControlMessage.decode(json.formatted("").getBytes()).trainer()).isEqualTo("t");
        assertThatThrownBy(() -> ControlMessage.decode(json.formatted("\"masks\"").getBytes()))
                .isInstanceOfSatisfying(
                        RejectedException.class,
                        e -> assertThat(e.reason()).isEqualTo(RejectReason.UNSUPPORTED))
                .hasMessage(
                        "it must be read with [masks], which version 1 of the protocol does not have; use a newer version of Tributary here");
    }

    /** Beside a chunk it is a text, so somebody will write one here too. */
    @Test
    void aListOfWhatMustBeUnderstoodThatIsNoneIsNotPassedOver() {
        assertThatThrownBy(() -> ControlMessage.decode("{\"must\":\"masks\"}".getBytes()))
                .isInstanceOf(RejectedException.class)
                .hasMessage("field 'must' is no list of names");
    }

    @ParameterizedTest
    @MethodSource("messages")
    void eachMessageSaysItsVersion(Object message) {
        if (message instanceof WireMessage) {
            assertThat(Json.tree(Json.encode(message)).get("version").asInt()).isEqualTo(1);
        }
    }

    /** State of before has another word, and another form of checksums. */
    @Test
    void aModelOfAnEarlierVersionIsRead() {
        ModelDescription model =
                new ModelDescription("j", "run", 2, 0, 8, 8, -7, 12.5, "not finite");
        String json = new String(Json.encode(model));
        assertThat(json).contains("\"crc32c\":\"fffffff9\"");
        String earlier = json.replace("\"rejected\"", "\"refused\"").replace("\"fffffff9\"", "-7");
        assertThat(earlier).contains("refused").contains(":-7,");
        assertThat(Json.decode(earlier.getBytes(), ModelDescription.class)).isEqualTo(model);
        assertThatThrownBy(
                        () ->
                                Json.decode(
                                        json.replace("fffffff9", "fffffff").getBytes(),
                                        ModelDescription.class))
                .hasMessageContaining("8 hexadecimal digits");
    }

    @Test
    void theConfigOfAPlanIsWhatItsUserHasWritten() {
        Map<String, Object> expected = new TreeMap<>();
        expected.putAll(Map.of("0.1", 0.1, "2", 2L, "-7", -7L, "1e-3", 1e-3, "true", true));
        for (String text : List.of("a b", "Infinity", "10f", "007", "0x1p3", " 1 ", "+1", ".5")) {
            expected.put(text, text);
        }
        Map<String, String> texts = new TreeMap<>();
        expected.keySet().forEach(text -> texts.put(text, text));
        assertThat(Config.ofTexts(texts)).isEqualTo(expected);
        assertThatThrownBy(() -> Config.ofTexts(Map.of("long", "x".repeat(Config.MAX_BYTES))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("expected at most 4096");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a b", "a/b", "../x", "a+", "#", "x\n", "-a"})
    void namesFitIntoTopicsAndFiles(String name) {
        assertThatThrownBy(() -> Names.check("trainer", name))
                .isInstanceOf(RejectedException.class)
                .hasMessageContaining("trainer '");
    }

    @ParameterizedTest
    @ValueSource(strings = {"/a", "a//b", "a/", "a/../b", "+"})
    void groupsArePaths(String tag) {
        assertThatThrownBy(() -> Names.checkGroup(tag)).isInstanceOf(RejectedException.class);
        assertThat(Names.checkGroup("default/us/west")).isEqualTo("default/us/west");
    }
}
