// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.ShortText;
import java.util.regex.Pattern;

/** What may be the name of a job, a trainer or a group, so that it fits into topics and files. */
public final class Names {

    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}");
    private static final Pattern TAG =
            Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*");

    private static final int MAX_SHOWN_BYTES = 60;

    private Names() {}

    /**
     * @return {@code name}, if it can name a {@code what}
     * @throws RejectedException MALFORMED otherwise
     */
    public static String check(String what, String name) {
        return check(what, name, NAME, "letters, digits, '.', '_', '-', at most 128 of them");
    }

    /**
     * @return {@code tag}, if it can be a group: names separated by '/'
     * @throws RejectedException MALFORMED otherwise
     */
    public static String checkGroup(String tag) {
        return check("group", tag, TAG, "names of letters, digits, '.', '_', '-' separated by '/'");
    }

    private static String check(String what, String name, Pattern pattern, String allowed) {
        if (name.length() > 512 || !pattern.matcher(name).matches()) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "%s '%s': allowed are %s"
                            .formatted(what, ShortText.of(name, MAX_SHOWN_BYTES), allowed));
        }
        return name;
    }
}
