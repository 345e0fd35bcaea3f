// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.chunk;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.WireMessage;
import io.tributary.protocol.message.RoundId;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads typed values from string properties, naming the property that is missing or wrong. */
record PropertyReader(Map<String, String> properties) {

    /**
     * The properties beside a chunk.
     *
     * @throws RejectedException UNSUPPORTED where they ask for more than this version understands
     */
    static PropertyReader understood(Map<String, String> properties) {
        PropertyReader reader = new PropertyReader(properties);
        if (properties.containsKey(WireMessage.MUST_FIELD)) {
            WireMessage.requireUnderstood(List.of(reader.text(WireMessage.MUST_FIELD).split(",")));
        }
        return reader;
    }

    /** Begins properties with the version of what follows. */
    static Map<String, String> begin() {
        Map<String, String> properties = new LinkedHashMap<>();
        properties.put(WireMessage.VERSION_FIELD, Integer.toString(WireMessage.VERSION));
        return properties;
    }

    /** Longer than any name, number or token. */
    private static final int MAX_LENGTH = 256;

    String text(String name) {
        String value = properties.get(name);
        if (value == null) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property '%s' is missing; there are %s"
                            .formatted(name, properties.keySet().stream().sorted().toList()));
        }
        if (value.length() > MAX_LENGTH) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property '%s' has %d characters, expected at most %d"
                            .formatted(name, value.length(), MAX_LENGTH));
        }
        return value;
    }

    long number(String name) {
        String value = text(name);
        try {
            return Long.parseLong(value);
        } catch (NumberFormatException e) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property '%s' is '%s', expected an integer".formatted(name, value));
        }
    }

    int integer(String name) {
        long value = number(name);
        if (value < 0 || value > Integer.MAX_VALUE) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property '%s' is %d, expected 0 to %d"
                            .formatted(name, value, Integer.MAX_VALUE));
        }
        return (int) value;
    }

    long epoch(String name) {
        long value = number(name);
        if (value < 0 || value > RoundId.MAX_EPOCH) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property '%s' is %d, expected 0 to %d"
                            .formatted(name, value, RoundId.MAX_EPOCH));
        }
        return value;
    }

    int positiveInt(String name) {
        int value = integer(name);
        if (value < 1) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "property '%s' is %d, expected 1 or more".formatted(name, value));
        }
        return value;
    }

    int crc(String name) {
        String value = text(name);
        try {
            if (value.length() == 8) {
                return Integer.parseUnsignedInt(value, 16);
            }
        } catch (NumberFormatException ignored) {
            // Said below.
        }
        throw new RejectedException(
                RejectReason.MALFORMED,
                "property '%s' is '%s', expected 8 hexadecimal digits".formatted(name, value));
    }
}
