// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.ModelDescription;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A complete model file.
 *
 * @param description what trainers are told about it
 * @param path the file, or the object
 * @param sets of an initial model, the tensor sets that it is given
 */
public record PublishedModel(ModelDescription description, String path, List<String> sets) {

    /** One of an earlier version, which a checkpoint may hold, has no sets. */
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    static PublishedModel read(JsonNode json) {
        List<String> sets = new ArrayList<>();
        json.path("sets").forEach(set -> sets.add(set.asText()));
        return new PublishedModel(
                Json.convert(json.required("description"), ModelDescription.class),
                json.required("path").asText(),
                sets);
    }

    public PublishedModel {
        sets = List.copyOf(sets);
    }

    /** One that a round has made. */
    public PublishedModel(ModelDescription description, String path) {
        this(description, path, List.of());
    }

    /**
     * A file of this host with it.
     *
     * @throws UncheckedIOException when it cannot be had
     */
    public Path file() {
        return description.round() > 0
                ? ModelCache.required(path, true)
                : InitialModel.required(path, sets);
    }

    /**
     * The same as said by that run: a job that goes on from a savepoint gives out what the run
     * before it had published, and its trainers take models of its own run alone.
     */
    public PublishedModel in(String run) {
        return new PublishedModel(
                new ModelDescription(
                        description.job(),
                        run,
                        description.round(),
                        description.epoch(),
                        description.bytes(),
                        description.chunkBytes(),
                        description.crc32c(),
                        description.lastUpdateToModelMs(),
                        description.rejected()),
                path,
                sets);
    }
}
