// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.operators.coordinator.TrainerEntry.Past;
import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.junit.jupiter.api.Test;

class TrainerEntrySerializerTest {

    private static final Claim CLAIM =
            CoordinatorHarness.claim(
                    "trainer-1", 7, 1L << 60, 100, -3, new PayloadRef("/dev/shm/x", 4096, 32, 5));

    private static byte[] write(TrainerEntry entry) throws IOException {
        DataOutputSerializer out = new DataOutputSerializer(64);
        TrainerEntrySerializer.INSTANCE.serialize(entry, out);
        return out.getCopyOfBuffer();
    }

    private static TrainerEntry read(byte[] bytes) throws IOException {
        DataInputDeserializer in = new DataInputDeserializer(bytes);
        TrainerEntry entry = TrainerEntrySerializer.INSTANCE.deserialize(in);
        assertThat(in.available()).isZero();
        return entry;
    }

    private static TrainerEntry random(Random random) {
        Optional<Counted> counted = Optional.empty();
        if (random.nextBoolean()) {
            counted =
                    Optional.of(
                            new Counted(
                                    number(random),
                                    number(random),
                                    random.nextInt(),
                                    random.nextLong() >>> 1 + random.nextInt(63),
                                    text(random),
                                    text(random),
                                    random.nextLong(),
                                    random.nextBoolean() ? Optional.of(CLAIM) : Optional.empty()));
        }
        return new TrainerEntry(
                random.nextBoolean(),
                text(random),
                text(random),
                text(random),
                number(random),
                number(random),
                number(random),
                counted,
                random.ints(random.nextInt(TrainerEntry.PAST + 1))
                        .mapToObj(crc -> new Past(number(random), crc))
                        .toList());
    }

    /** Of any length, so that each length in bytes comes. */
    private static int number(Random random) {
        return random.nextInt() >>> 1 + random.nextInt(31);
    }

    private static String text(Random random) {
        return "äx\u6f22\ud83d\ude00/".repeat(random.nextInt(40));
    }

    @Test
    void whatIsWrittenIsRead() throws IOException {
        Random random = new Random(1);
        for (int i = 0; i < 10_000; i++) {
            TrainerEntry entry = random(random);
            assertThat(read(write(entry))).isEqualTo(entry);
        }
    }

    /** With the id, its key, that is less than 150 bytes. */
    @Test
    void aTrainerOfALongFederationIsSmall() throws IOException {
        TrainerEntry entry =
                new TrainerEntry(
                        true,
                        new UUID(-1, -1).toString(),
                        "europe/west",
                        "mqtts",
                        100_000,
                        0,
                        0,
                        Optional.of(
                                Counted.of(
                                        CLAIM,
                                        100_000,
                                        1_000_000,
                                        "middle-3/europe/west/17",
                                        "",
                                        false)),
                        List.of(new Past(99_999, 1), new Past(99_998, 2), new Past(99_997, 3)));
        assertThat(write(entry).length).isLessThanOrEqualTo(130);
    }
}
