// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

/** What an update's tensors are. */
public enum UpdateKind {
    /** The trainer's whole model after training. */
    WEIGHTS,
    /** The trainer's model after training minus the model it started from. */
    DELTA
}
