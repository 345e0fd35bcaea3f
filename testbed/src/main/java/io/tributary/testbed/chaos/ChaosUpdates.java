// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;

/**
 * Updates that follow from who sends them and for what, so that anybody can tell what they were.
 */
final class ChaosUpdates {

    /** The tensor that all models here have. */
    static final String TENSOR = "weight";

    /** 1.6 MB: two chunks, and two shards. */
    static final int ELEMENTS = 400_000;

    static final SafetensorsHeader HEADER =
            SafetensorsHeader.create(
                    List.of(SafetensorsHeader.tensor(TENSOR, DType.F32, ELEMENTS)), Map.of());

    private ChaosUpdates() {}

    /**
     * A trainer's update for a round.
     *
     * @param tensor the model's, or that of a set, which has other values
     */
    static float[] values(String trainer, RoundId round, String tensor) {
        String whose = tensor.equals(TENSOR) ? trainer : trainer + "/" + tensor;
        SplittableRandom random =
                new SplittableRandom(
                        whose.hashCode() * 1_000_003L + round.round() * 1009L + round.epoch());
        float[] values = new float[ELEMENTS];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (random.nextDouble() * 2 - 1);
        }
        return values;
    }

    /** Its weight. */
    static long samples(String trainer) {
        return 1 + Math.floorMod(trainer.hashCode(), 1000);
    }

    /** The initial model: all zero. */
    static ByteBuffer initial() {
        ByteBuffer file =
                ByteBuffer.allocate((int) HEADER.fileLength()).order(ByteOrder.LITTLE_ENDIAN);
        file.put(HEADER.bytes());
        return file.clear();
    }

    /**
     * CRC32C of the whole file.
     *
     * @param header of the model
     * @param values by tensor
     */
    static int crc32c(SafetensorsHeader header, Map<String, float[]> values) {
        CRC32C crc = new CRC32C();
        crc.update(header.bytes());
        for (TensorInfo tensor : header.tensors()) {
            ByteBuffer bytes =
                    ByteBuffer.allocate(ELEMENTS * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asFloatBuffer().put(values.get(tensor.name()));
            crc.update(bytes);
        }
        return (int) crc.getValue();
    }
}
