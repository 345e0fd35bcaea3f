// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer.testing;

import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateDescription;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Map;
import java.util.OptionalInt;

/** An update that a trainer has sent to a {@link FakeJob}. It is a copy, and stays as it is. */
public final class ReceivedUpdate {

    private final UpdateDescription description;
    private final PayloadRef payload;
    private final OptionalInt crc32c;
    private final Map<String, ByteBuffer> tensors;

    ReceivedUpdate(
            UpdateDescription description,
            PayloadRef payload,
            OptionalInt crc32c,
            Map<String, ByteBuffer> tensors) {
        this.description = description;
        this.payload = payload;
        this.crc32c = crc32c;
        this.tensors = Map.copyOf(tensors);
    }

    /** Who sent it. */
    public String trainer() {
        return description.trainer();
    }

    /** The round that it is for. */
    public RoundId round() {
        return new RoundId(description.round(), description.epoch());
    }

    /** Its weight, the number of training samples. */
    public long samples() {
        return description.samples();
    }

    /** What the trainer measured. */
    public Map<String, Double> metrics() {
        return description.metrics();
    }

    /**
     * A tensor's bytes, little-endian and read-only.
     *
     * @throws IllegalArgumentException when there is no such tensor
     */
    public ByteBuffer bytes(String tensor) {
        ByteBuffer bytes = tensors.get(tensor);
        if (bytes == null) {
            throw new IllegalArgumentException(
                    "the update has no tensor '%s', it has %s".formatted(tensor, tensors.keySet()));
        }
        return bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }

    /** The same for an F32 tensor, as floats in row-major order. */
    public FloatBuffer floats(String tensor) {
        return bytes(tensor).asFloatBuffer();
    }

    UpdateDescription description() {
        return description;
    }

    PayloadRef payload() {
        return payload;
    }

    OptionalInt crc32c() {
        return crc32c;
    }
}
