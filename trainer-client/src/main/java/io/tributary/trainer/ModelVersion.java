// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.message.RoundId;

/** One version of the model, on its way or there. Not thread-safe. */
interface ModelVersion {

    /** Which. */
    RoundId id();

    /** Whether all of it is there. */
    boolean complete();

    /** Somebody reads it, and discards it in the end. */
    void take();

    /** Whether somebody does. */
    boolean taken();

    /** Maps it. */
    TensorFile open();

    /** Nobody needs it here any more. */
    void discard();
}
