// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.tensor.UpdateTensors;
import java.util.ArrayList;
import java.util.List;

/**
 * What a plan expects of updates, besides the model's tensors and the number of samples.
 *
 * @param sets names of the tensor sets that they have
 * @param metrics names of the metrics that they have, because the algorithm computes with them
 * @param partial whether they may leave tensors out
 * @param personal patterns of names of tensors that never leave the trainer
 */
@JsonInclude(JsonInclude.Include.NON_EMPTY)
public record Expected(
        List<String> sets,
        List<String> metrics,
        @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean partial,
        List<String> personal) {

    /** Nothing more. */
    public static final Expected NOTHING = new Expected(List.of(), List.of(), false, List.of());

    public Expected {
        sets = List.copyOf(sets);
        metrics = List.copyOf(metrics);
        personal = List.copyOf(personal);
    }

    /** Of an object; a field that is missing expects nothing. */
    static Expected of(JsonNode json) {
        return new Expected(
                texts(json.path("sets")),
                texts(json.path("metrics")),
                json.path("partial").asBoolean(),
                texts(json.path("personal")));
    }

    private static List<String> texts(JsonNode names) {
        List<String> texts = new ArrayList<>();
        names.forEach(name -> texts.add(name.asText()));
        return texts;
    }

    /** What a trainer must know, or it would send what it should not. */
    List<String> must() {
        List<String> must = new ArrayList<>();
        if (!sets.isEmpty()) {
            must.add("sets");
        }
        if (!personal.isEmpty()) {
            must.add("personal");
        }
        return must;
    }

    /** Which of the model's tensors updates have. */
    public UpdateTensors tensors() {
        return new UpdateTensors(partial, personal);
    }
}
