// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.io.IOException;

/** This host's node cannot be reached. */
public final class NodeUnavailableException extends IOException {

    private static final long serialVersionUID = 1L;

    NodeUnavailableException(String message, IOException cause) {
        super(message, cause);
    }
}
