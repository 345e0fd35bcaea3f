// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

/** A model is not one that the kernel can compute; the message says why, in one line. */
public final class UnsupportedNetworkException extends IllegalArgumentException {

    private static final long serialVersionUID = 1L;

    public UnsupportedNetworkException(String message) {
        super(message);
    }
}
