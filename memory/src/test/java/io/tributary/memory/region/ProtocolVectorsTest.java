// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.chunk.ModelChunkHeader;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.Names;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.UpdateDescription;
import io.tributary.protocol.message.UpdateKind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a program in another language must read and write in the same way. */
class ProtocolVectorsTest {

    private static final Map<String, Class<?>> MESSAGES =
            Map.of(
                    "RoundPlan", RoundPlan.class,
                    "RoundStatus", RoundStatus.class,
                    "Receipt", Receipt.class,
                    "DeadLetter", DeadLetter.class,
                    "ControlMessage", ControlMessage.class,
                    "ModelDescription", ModelDescription.class,
                    "UpdateDescription", UpdateDescription.class);

    private static JsonNode vectors(String name) throws IOException {
        return Json.tree(Files.readAllBytes(Path.of("..", "protocol", "vectors", name + ".json")));
    }

    private static Stream<JsonNode> each(JsonNode array) {
        assertThat(array).isNotEmpty();
        return StreamSupport.stream(array.spliterator(), false);
    }

    static Stream<JsonNode> messages() throws IOException {
        return each(vectors("messages"));
    }

    static Stream<JsonNode> regions() throws IOException {
        return each(vectors("regions"));
    }

    static Stream<JsonNode> descriptors() throws IOException {
        return each(vectors("descriptors"));
    }

    private static byte[] bytes(JsonNode hex) {
        return HexFormat.of().parseHex(hex.asText());
    }

    private static Map<String, String> properties(JsonNode json) {
        Map<String, String> found = new LinkedHashMap<>();
        json.properties().forEach(p -> found.put(p.getKey(), p.getValue().asText()));
        return found;
    }

    @ParameterizedTest
    @MethodSource("messages")
    void aMessageIsReadAndWritten(JsonNode vector) {
        Class<?> type = MESSAGES.get(vector.get("type").asText());
        ObjectNode json = (ObjectNode) vector.get("json");
        byte[] bytes = Json.encode(json);
        String result = vector.get("result").asText();
        if (result.equals("OK")) {
            json.remove("colour");
            json.put("version", 1);
            if (type == RoundPlan.class && !json.has("config")) {
                json.putObject("config");
            }
            if (type == RoundPlan.class && !json.has("expects")) {
                json.putObject("expects");
            }
            if (type == RoundStatus.class && !json.has("metrics")) {
                json.putObject("metrics");
            }
            assertThat(Json.tree(Json.encode(Json.decode(bytes, type)))).isEqualTo(json);
        } else {
            assertThatThrownBy(() -> Json.decode(bytes, type))
                    .isInstanceOfSatisfying(
                            RejectedException.class,
                            e -> assertThat(e.reason()).hasToString(result));
        }
    }

    @Test
    void chunksAreCutAndRead() throws IOException {
        JsonNode vector = vectors("chunks");
        byte[] payload = bytes(vector.get("payload"));
        for (JsonNode one : vector.get("update")) {
            ChunkHeader header = ChunkHeader.fromProperties(properties(one));
            check(header.part(), payload);
            assertThat(header.toProperties()).isEqualTo(properties(one));
        }
        for (JsonNode one : vector.get("model")) {
            ModelChunkHeader header = ModelChunkHeader.fromProperties(properties(one));
            check(header.part(), payload);
            assertThat(header.toProperties()).isEqualTo(properties(one));
        }
        for (JsonNode one : vector.get("rejected")) {
            ThrowingCallable read =
                    () ->
                            check(
                                    ModelChunkHeader.fromProperties(
                                                    properties(one.get("properties")))
                                            .part(),
                                    payload);
            assertThatThrownBy(read)
                    .as(one.get("about").asText())
                    .isInstanceOf(RejectedException.class);
        }
    }

    private static void check(ChunkPart part, byte[] payload) {
        int begin = Math.min(payload.length, (int) part.offset());
        int end = Math.min(payload.length, begin + part.chunkBytes());
        ByteBuffer bytes = ByteBuffer.wrap(Arrays.copyOfRange(payload, begin, end));
        part.check(bytes);
        assertThat(part.crc32c()).isEqualTo(ChunkPart.crc(ByteBuffer.wrap(payload)));
    }

    @ParameterizedTest
    @MethodSource("regions")
    void theHeaderOfARegionIsWritten(JsonNode vector) {
        int flags = vector.get("flags").asInt();
        JsonNode crc32c = vector.get("crc32c");
        RegionHeader header =
                new RegionHeader(
                        (flags & RegionLayout.OWNER_TAKES_BACK) != 0,
                        State.values()[vector.get("state").asInt() - 1],
                        vector.get("generation").asInt(),
                        vector.get("length").asLong(),
                        crc32c.isNull()
                                ? OptionalInt.empty()
                                : OptionalInt.of(Integer.parseUnsignedInt(crc32c.asText(), 16)),
                        (flags & RegionLayout.FINITE) != 0,
                        new Owner(
                                UUID.fromString(vector.get("owner").asText()),
                                vector.get("pid").asLong()),
                        vector.get("capacity").asLong(),
                        vector.get("description").asText());
        byte[] expected = bytes(vector.get("bytes"));
        ByteBuffer page = header.page();
        assertThat(Arrays.copyOf(page.array(), expected.length)).isEqualTo(expected);
        assertThat(Arrays.copyOfRange(page.array(), expected.length, page.capacity()))
                .containsOnly(0);
    }

    @ParameterizedTest
    @MethodSource("descriptors")
    void aDescriptorIsReadAndWritten(JsonNode vector) {
        Descriptor descriptor =
                new Descriptor(
                        Descriptor.Kind.valueOf(vector.get("kind").asText()),
                        vector.get("code").asInt(),
                        endpoint(vector.get("to")),
                        endpoint(vector.get("from")),
                        vector.get("number").asLong(),
                        Optional.of(UUID.fromString(vector.get("region").asText()))
                                .filter(id -> !id.equals(new UUID(0, 0))));
        byte[] expected = bytes(vector.get("bytes"));
        assertThat(descriptor.encode().array()).isEqualTo(expected);
        assertThat(Descriptor.decode(ByteBuffer.wrap(expected), 0)).isEqualTo(descriptor);
    }

    private static EndpointId endpoint(JsonNode text) {
        UUID id = UUID.fromString(text.asText());
        return new EndpointId(id.getMostSignificantBits(), id.getLeastSignificantBits());
    }

    @Test
    void namesAndNumbersFollow() throws IOException {
        JsonNode vector = vectors("names");
        each(vector.get("crc32c"))
                .forEach(
                        v ->
                                assertThat(
                                                Receipt.contentId(
                                                        ChunkPart.crc(
                                                                ByteBuffer.wrap(
                                                                        utf8(v.get("text"))))))
                                        .isEqualTo(v.get("value").asText()));
        each(vector.get("lanes"))
                .forEach(
                        v ->
                                assertThat(Topics.lane(v.get("trainer").asText()))
                                        .isEqualTo(v.get("lane").asInt()));
        each(vector.get("endpoints"))
                .forEach(
                        v ->
                                assertThat(EndpointId.of(v.get("name").asText()))
                                        .hasToString(v.get("id").asText()));
        each(vector.get("rounds"))
                .forEach(
                        v ->
                                assertThat(
                                                new RoundId(
                                                        v.get("round").asInt(),
                                                        v.get("epoch").asLong()))
                                        .hasToString(v.get("text").asText()));
        each(vector.get("runs"))
                .forEach(
                        v ->
                                assertThat(Run.ends(ended(v)))
                                        .as("run %s", v.get("run").asText())
                                        .isTrue());
        each(vector.get("names"))
                .forEach(
                        v ->
                                assertThat(taken(() -> Names.check("job", text(v, "name"))))
                                        .as(text(v, "name"))
                                        .isEqualTo(v.get("good").asBoolean()));
        each(vector.get("groups"))
                .forEach(
                        v ->
                                assertThat(taken(() -> Names.checkGroup(text(v, "group"))))
                                        .as(text(v, "group"))
                                        .isEqualTo(v.get("good").asBoolean()));
    }

    private static byte[] utf8(JsonNode text) {
        return text.asText().getBytes(StandardCharsets.UTF_8);
    }

    private static String text(JsonNode json, String name) {
        return json.get(name).asText();
    }

    private static RoundPlan ended(JsonNode vector) {
        return new RoundPlan(
                "demo",
                RoundPlan.State.ENDED,
                1,
                0,
                0,
                0,
                UpdateKind.WEIGHTS,
                0,
                0,
                vector.get("run").asText(),
                vector.get("end").asText());
    }

    private static boolean taken(Runnable check) {
        try {
            check.run();
            return true;
        } catch (RejectedException e) {
            return false;
        }
    }
}
