// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.message.ModelDescription;
import java.io.UncheckedIOException;
import java.nio.file.Path;

/**
 * A complete model file.
 *
 * @param description what trainers are told about it
 * @param path the file, or the object
 */
public record PublishedModel(ModelDescription description, String path) {

    /**
     * A file of this host with it.
     *
     * @throws UncheckedIOException when it cannot be had
     */
    public Path file() {
        return ModelCache.required(path, description.round() > 0);
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
                path);
    }
}
