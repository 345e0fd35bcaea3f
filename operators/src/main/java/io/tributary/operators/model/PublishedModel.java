// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.message.ModelDescription;

/**
 * A complete model file.
 *
 * @param description what trainers are told about it
 * @param path the file
 */
public record PublishedModel(ModelDescription description, String path) {

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
