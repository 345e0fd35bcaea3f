// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonSerializer;
import com.fasterxml.jackson.databind.SerializerProvider;
import java.io.IOException;

/** A checksum in JSON: 8 hexadecimal digits, as everywhere in the protocol. */
final class HexCrc32c {

    private static final int DIGITS = 8;
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
            if (in.currentToken().isNumeric()) {
                return in.getIntValue();
            }
            String text = in.getText();
            try {
                if (text.length() == DIGITS) {
                    return Integer.parseUnsignedInt(text, HEX);
                }
            } catch (NumberFormatException ignored) {
                // Said below.
            }
            return (Integer)
                    context.handleWeirdStringValue(
                            Integer.class, text, "expected 8 hexadecimal digits");
        }
    }
}
