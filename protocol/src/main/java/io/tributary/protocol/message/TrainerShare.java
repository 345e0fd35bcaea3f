// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/**
 * Some of a job's trainers, named without a list: every trainer is in one of {@value #BUCKETS}
 * buckets, and these are in so many buckets one after the other, the first after the last.
 *
 * @param from the first bucket, 0 to {@value #BUCKETS} − 1
 * @param buckets how many, 1 to {@value #BUCKETS}
 */
public record TrainerShare(int from, int buckets) {

    /** How many buckets there are. */
    public static final int BUCKETS = 256;

    /** All trainers. */
    public static final TrainerShare ALL = new TrainerShare(0, BUCKETS);

    public TrainerShare {
        if (from < 0 || from >= BUCKETS || buckets < 1 || buckets > BUCKETS) {
            throw new IllegalArgumentException(
                    "buckets from %d on, %d of them, expected 0 to %d and 1 to %d"
                            .formatted(from, buckets, BUCKETS - 1, BUCKETS));
        }
    }

    /** The bucket of a trainer: CRC32C of its id in UTF-8, modulo {@link #BUCKETS}. */
    public static int bucket(String trainer) {
        CRC32C crc = new CRC32C();
        crc.update(trainer.getBytes(StandardCharsets.UTF_8));
        return (int) (crc.getValue() % BUCKETS);
    }

    /** Whether a trainer is one of them. */
    public boolean has(String trainer) {
        return Math.floorMod(bucket(trainer) - from, BUCKETS) < buckets;
    }

    /** Of an object; null where it is none. */
    static TrainerShare of(JsonNode json) {
        return json.isObject()
                ? new TrainerShare(json.path("from").asInt(), json.path("buckets").asInt())
                : null;
    }
}
