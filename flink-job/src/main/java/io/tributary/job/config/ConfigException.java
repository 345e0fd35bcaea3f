// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

/** A mistake in {@code job.yaml}; the message names file and line. */
public final class ConfigException extends IllegalArgumentException {

    private static final long serialVersionUID = 1L;

    ConfigException(String message) {
        super(message);
    }
}
