// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.io.IOException;

/** Another node does not want to do what it was asked, and says why. */
public final class NodeRejectedException extends IOException {

    private static final long serialVersionUID = 1L;

    NodeRejectedException(String message) {
        super(message);
    }
}
