// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;

/**
 * What comes back.
 *
 * @param refusal why not; empty when all is well
 * @param value what was asked for
 */
record NodeAnswer(String refusal, JsonNode value) {

    static NodeAnswer of(Object value) {
        return new NodeAnswer("", Json.tree(Json.encode(value)));
    }

    static NodeAnswer refused(String why) {
        return new NodeAnswer(why, Json.tree(Json.encode("")));
    }

    /**
     * @throws NodeRefusedException when it is a refusal
     */
    <T> T as(Class<T> type) throws NodeRefusedException {
        if (!refusal.isEmpty()) {
            throw new NodeRefusedException(refusal);
        }
        return Json.decode(Json.encode(value), type);
    }
}
