// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.util.regex.Pattern;

/**
 * The one JSON codec. Unknown fields are ignored, so that a newer peer can say more; missing
 * primitive fields, trailing bytes and wrong types are refused. Thread-safe.
 */
public final class Json {

    /** Where Jackson says that it does not say where something is. */
    private static final Pattern SOURCE =
            Pattern.compile(" \\(start marker at \\[Source: [^\\]]*\\]\\)");

    private static final ObjectMapper MAPPER =
            JsonMapper.builder()
                    .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                    .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
                    .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
                    .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
                    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                    .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS)
                    .build();

    static {
        // Tensor names come from frameworks and may be long; the header itself is bounded
        // elsewhere.
        MAPPER.getFactory()
                .setStreamReadConstraints(
                        StreamReadConstraints.builder().maxNameLength(1 << 20).build());
    }

    private Json() {}

    /** {@code value} as compact UTF-8 JSON. */
    public static byte[] encode(Object value) {
        try {
            return MAPPER.writeValueAsBytes(value);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("cannot be written as JSON: " + value, e);
        }
    }

    /** {@code value} as indented JSON for people. */
    public static String pretty(Object value) {
        try {
            return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(value);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("cannot be written as JSON: " + value, e);
        }
    }

    /**
     * Reads a {@code type} from UTF-8 JSON.
     *
     * @throws RejectedException MALFORMED, naming the type and the place
     */
    public static <T> T decode(byte[] json, Class<T> type) {
        try {
            T value = MAPPER.readValue(json, type);
            if (value == null) {
                throw new RejectedException(
                        RejectReason.MALFORMED,
                        "expected a " + type.getSimpleName() + ", got null");
            }
            return value;
        } catch (IOException e) {
            throw malformed("a " + type.getSimpleName() + " in JSON", e);
        }
    }

    /**
     * Reads any JSON value.
     *
     * @throws RejectedException MALFORMED, naming the place
     */
    public static JsonNode tree(byte[] json) {
        try {
            return MAPPER.readTree(json);
        } catch (IOException e) {
            throw malformed("JSON", e);
        }
    }

    private static RejectedException malformed(String expected, IOException e) {
        String why =
                e instanceof JsonProcessingException json
                        ? json.getOriginalMessage()
                                + (json.getLocation() == null
                                        ? ""
                                        : " at line "
                                                + json.getLocation().getLineNr()
                                                + ", column "
                                                + json.getLocation().getColumnNr())
                        : e.getMessage();
        String plain = SOURCE.matcher(String.valueOf(why)).replaceAll("").replaceAll("\\s+", " ");
        return new RejectedException(RejectReason.MALFORMED, "expected " + expected + ": " + plain);
    }
}
