// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonSerializer;
import com.fasterxml.jackson.databind.SerializerProvider;
import java.io.IOException;
import java.util.regex.Pattern;

/** A checksum in JSON: 8 hexadecimal digits, as everywhere in the protocol. */
final class HexCrc32c {

    private static final Pattern DIGITS = Pattern.compile("[0-9a-f]{8}");
    private static final int HEX = 16;

    private HexCrc32c() {}

    static final class Writer extends JsonSerializer<Integer> {

        @Override
        public void serialize(Integer value, JsonGenerator out, SerializerProvider ignored)
                throws IOException {
            out.writeString(Receipt.contentId(value));
        }
    }

    /** Also a signed integer, which earlier versions wrote and a checkpoint may hold. */
    static final class Reader extends JsonDeserializer<Integer> {

        @Override
        public Integer deserialize(JsonParser in, DeserializationContext context)
                throws IOException {
            if (in.currentToken() == JsonToken.VALUE_NUMBER_INT) {
                return in.getIntValue();
            }
            String text = in.getText();
            if (DIGITS.matcher(text).matches()) {
                return Integer.parseUnsignedInt(text, HEX);
            }
            return (Integer)
                    context.handleWeirdStringValue(
                            Integer.class, text, "expected 8 hexadecimal digits");
        }
    }
}
