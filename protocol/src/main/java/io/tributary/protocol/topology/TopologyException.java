// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.topology;

import java.util.ArrayList;
import java.util.List;

/** A mistake in a topology: the file, the JSON pointer, what was found and what is allowed. */
public final class TopologyException extends RuntimeException {

    private final String pointer;

    TopologyException(String file, String pointer, String found, String allowed) {
        super("%s#%s: found %s; %s".formatted(file, pointer, found, allowed));
        this.pointer = pointer;
    }

    static String oneOf(Iterable<String> names) {
        List<String> quoted = new ArrayList<>();
        names.forEach(n -> quoted.add("'" + n + "'"));
        return quoted.isEmpty() ? "there are none" : "allowed: " + String.join(", ", quoted);
    }

    /** Where the mistake is, as an RFC 6901 JSON pointer. */
    public String pointer() {
        return pointer;
    }
}
