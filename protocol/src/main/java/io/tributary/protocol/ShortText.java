// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import java.nio.charset.StandardCharsets;

/**
 * Text that may quote input, made fit to be kept, sent and printed: one line of valid UTF-8 of
 * bounded length. Stateless and thread-safe.
 */
public final class ShortText {

    private static final String CUT = "…";
    private static final int CUT_BYTES = CUT.getBytes(StandardCharsets.UTF_8).length;

    private ShortText() {}

    /**
     * {@code text} with control characters, line breaks and halves of surrogate pairs replaced by
     * '?', cut where it would be longer.
     *
     * @param maxBytes of the result in UTF-8, ≥ 3
     */
    public static String of(String text, int maxBytes) {
        StringBuilder kept = new StringBuilder(Math.min(text.length(), maxBytes));
        int bytes = 0;
        // Up to here it can be cut and marked as cut.
        int cut = 0;
        for (int at = 0; at < text.length(); ) {
            int found = text.codePointAt(at);
            at += Character.charCount(found);
            int shown = printable(found) ? found : '?';
            bytes += utf8Bytes(shown);
            if (bytes > maxBytes) {
                kept.setLength(cut);
                return kept.append(CUT).toString();
            }
            kept.appendCodePoint(shown);
            if (bytes <= maxBytes - CUT_BYTES) {
                cut = kept.length();
            }
        }
        return kept.toString();
    }

    private static boolean printable(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.CONTROL,
                    Character.SURROGATE,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR ->
                    false;
            default -> true;
        };
    }

    private static int utf8Bytes(int codePoint) {
        if (codePoint < 0x80) {
            return 1;
        }
        if (codePoint < 0x800) {
            return 2;
        }
        return codePoint < 0x10000 ? 3 : 4;
    }
}
