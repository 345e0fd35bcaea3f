// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.files;

import java.io.Serializable;

/**
 * A file to be aggregated.
 *
 * @param path a safetensors file
 * @param samples its weight, ≥ 1
 */
public record FileUpdate(String path, long samples) implements Serializable {}
