// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import java.io.IOException;

/** No job manager answers. */
public final class ClusterUnavailableException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    ClusterUnavailableException(String address, IOException cause) {
        super(
                "no Flink cluster answers at %s (%s); start one with './tributary cluster start', or give --cluster HOST:PORT"
                        .formatted(
                                address,
                                cause.getMessage() == null
                                        ? cause.getClass().getSimpleName()
                                        : cause.getMessage()),
                cause);
    }
}
