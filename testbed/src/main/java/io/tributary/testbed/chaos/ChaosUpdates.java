// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
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

    /** A trainer's update for a round. */
    static float[] values(String trainer, RoundId round) {
        SplittableRandom random =
                new SplittableRandom(
                        trainer.hashCode() * 1_000_003L + round.round() * 1009L + round.epoch());
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

    /** The whole file. */
    static ByteBuffer file(float[] values) {
        ByteBuffer file =
                ByteBuffer.allocate((int) HEADER.fileLength()).order(ByteOrder.LITTLE_ENDIAN);
        file.put(HEADER.bytes());
        file.slice(file.position(), file.remaining())
                .order(ByteOrder.LITTLE_ENDIAN)
                .asFloatBuffer()
                .put(values);
        return file.clear();
    }

    /** CRC32C of the whole file. */
    static int crc32c(float[] values) {
        CRC32C crc = new CRC32C();
        crc.update(file(values));
        return (int) crc.getValue();
    }
}
