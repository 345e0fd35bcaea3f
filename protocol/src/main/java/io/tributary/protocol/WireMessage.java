// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.Collection;
import java.util.Set;
import java.util.TreeSet;

/**
 * A message between a job and its trainers, in JSON. It says its version, for people: a reader
 * ignores fields that it does not know, whatever the version. What a reader must not ignore, the
 * writer names in the list {@code must}; a reader that does not know one of the names rejects the
 * message as a whole.
 */
public interface WireMessage {

    /** The version that is written. */
    int VERSION = 1;

    /** The field, or the property beside a chunk, with the version. */
    String VERSION_FIELD = "version";

    /** The field, or the property beside a chunk, with the names that must be understood. */
    String MUST_FIELD = "must";

    /** The names that this version understands. */
    Set<String> UNDERSTOOD = Set.of("sets", "personal", "asked");

    /** The version of this message. */
    @JsonProperty(VERSION_FIELD)
    default int version() {
        return VERSION;
    }

    /**
     * Rejects what asks for more than this version understands.
     *
     * @param must names that must be understood
     * @throws RejectedException UNSUPPORTED, with the names that are not
     */
    static void requireUnderstood(Collection<String> must) {
        TreeSet<String> unknown = new TreeSet<>(must);
        unknown.removeAll(UNDERSTOOD);
        if (!unknown.isEmpty()) {
            throw new RejectedException(
                    RejectReason.UNSUPPORTED,
                    "it must be read with %s, which version %d of the protocol does not have; use a newer version of Tributary here"
                            .formatted(unknown, VERSION));
        }
    }
}
