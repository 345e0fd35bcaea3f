// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

/** Flink rejected what it was asked, with its reason. */
public final class FlinkRestException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    FlinkRestException(String message) {
        super(message);
    }
}
