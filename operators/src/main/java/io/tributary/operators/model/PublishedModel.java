// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.message.ModelDescription;

/**
 * A complete model file.
 *
 * @param description what trainers are told about it
 * @param path the file
 */
public record PublishedModel(ModelDescription description, String path) {}
