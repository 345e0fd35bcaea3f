// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;

/**
 * What comes back.
 *
 * @param rejection why not; empty when all is well
 * @param value what was asked for
 */
record NodeAnswer(String rejection, JsonNode value) {

    static NodeAnswer of(Object value) {
        return new NodeAnswer("", Json.tree(Json.encode(value)));
    }

    static NodeAnswer rejected(String why) {
        return new NodeAnswer(why, Json.tree(Json.encode("")));
    }

    /**
     * @throws NodeRejectedException when it is a rejection
     */
    <T> T as(Class<T> type) throws NodeRejectedException {
        if (!rejection.isEmpty()) {
            throw new NodeRejectedException(rejection);
        }
        return Json.decode(Json.encode(value), type);
    }
}
