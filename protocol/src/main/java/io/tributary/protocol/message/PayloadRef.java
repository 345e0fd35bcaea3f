// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.databind.JsonNode;

/**
 * Where a payload lies.
 *
 * @param path the file
 * @param offset where the payload begins in it, in bytes
 * @param length bytes of the payload
 * @param generation which use of a region this is, counted from 1, since an owner may write into a
 *     released region again; 0 where the file is not a region but somebody else's and only read
 * @param node the node on whose host the file is; empty for the reader's host
 */
public record PayloadRef(String path, long offset, long length, int generation, String node) {

    /** State of earlier versions names no node, and calls the generation a tenure. */
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static PayloadRef read(JsonNode json) {
        return new PayloadRef(
                json.required("path").asText(),
                json.required("offset").asLong(),
                json.required("length").asLong(),
                json.required(json.has("tenure") ? "tenure" : "generation").asInt(),
                json.path("node").asText());
    }

    /** A payload on this host. */
    public PayloadRef(String path, long offset, long length, int generation) {
        this(path, offset, length, generation, "");
    }

    /** The same as other hosts have to call it. */
    public PayloadRef on(String itsNode) {
        return new PayloadRef(path, offset, length, generation, itsNode);
    }

    /** Whether the file is a region, to be released when no longer needed. */
    public boolean region() {
        return generation > 0;
    }
}
