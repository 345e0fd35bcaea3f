// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * The one JSON codec. Unknown fields are ignored, so that a newer peer can say more; missing
 * primitive fields, trailing bytes and wrong types are rejected. Thread-safe.
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

    /**
     * For headers of files: their names are many, long, and come once, so tables of names only cost
     * time, more with each name. Their length is bounded by who reads them.
     */
    private static final ObjectMapper HEADERS =
            JsonMapper.builder(
                            JsonFactory.builder()
                                    .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                                    .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                                    .streamReadConstraints(
                                            StreamReadConstraints.builder()
                                                    .maxNameLength(1 << 20)
                                                    .maxStringLength(Integer.MAX_VALUE)
                                                    .maxNestingDepth(16)
                                                    .build())
                                    .build())
                    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build();

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
     * Reads a {@code type} from a part of a message.
     *
     * @throws RejectedException MALFORMED, naming the type and the place
     */
    public static <T> T convert(JsonNode json, Class<T> type) {
        try {
            return MAPPER.treeToValue(json, type);
        } catch (IOException e) {
            throw malformed("a " + type.getSimpleName() + " in JSON", e);
        }
    }

    /**
     * Reads a {@code type} from UTF-8 JSON.
     *
     * @throws RejectedException MALFORMED, naming the type and the place; UNSUPPORTED for a message
     *     that asks for more than this version understands
     */
    public static <T> T decode(byte[] json, Class<T> type) {
        try {
            T value =
                    WireMessage.class.isAssignableFrom(type)
                            ? MAPPER.treeToValue(understood(json), type)
                            : MAPPER.readValue(json, type);
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

    private static JsonNode understood(byte[] json) throws IOException {
        JsonNode message = MAPPER.readTree(json);
        JsonNode names = message.path(WireMessage.MUST_FIELD);
        List<String> must = new ArrayList<>();
        names.forEach(name -> must.add(name.asText()));
        if (!names.isMissingNode() && !names.isArray()) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "field '%s' is no list of names".formatted(WireMessage.MUST_FIELD));
        }
        WireMessage.requireUnderstood(must);
        return message;
    }

    /**
     * Reads any JSON value.
     *
     * @throws RejectedException MALFORMED, naming the place
     */
    public static JsonNode tree(byte[] json) {
        return tree(MAPPER, json, 0);
    }

    /**
     * Reads a file's header, which may have very many names.
     *
     * @param offset where it begins in {@code json}, which it fills from there on
     * @throws RejectedException MALFORMED, naming the place
     */
    public static JsonNode header(byte[] json, int offset) {
        return tree(HEADERS, json, offset);
    }

    private static JsonNode tree(ObjectMapper mapper, byte[] json, int offset) {
        try {
            return mapper.readTree(json, offset, json.length - offset);
        } catch (IOException e) {
            throw malformed("JSON", e);
        }
    }

    private static RejectedException malformed(String expected, IOException e) {
        String why =
                e instanceof JsonProcessingException json
                        ? json.getOriginalMessage()
                                + (json.getLocation() == null || json.getLocation().getLineNr() < 1
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
