// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.RoundId;
import java.nio.file.Path;

/** A model that lies in a region of the job's; the job removes it, and mappings outlive that. */
record ModelRegion(RoundId id, Path file) implements ModelVersion {

    private static final long MAX_HEADER_BYTES = 100_000_000;

    @Override
    public boolean complete() {
        try {
            return RegionHeader.read(file).state() == State.READY;
        } catch (RejectedException e) {
            // Not yet there, or there no more; the plan will say which model is.
            return false;
        }
    }

    @Override
    public void take() {
        // It is the job's.
    }

    @Override
    public boolean taken() {
        return true;
    }

    @Override
    public TensorFile open() {
        return TensorFile.open(RegionHeader.read(file).payload(file), MAX_HEADER_BYTES);
    }

    @Override
    public void discard() {
        // It is the job's.
    }
}
