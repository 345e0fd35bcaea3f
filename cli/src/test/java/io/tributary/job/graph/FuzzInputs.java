// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.job.testutils.SmallModel;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/**
 * Inputs that nobody should send, drawn from a seed: sound ones with something wrong in them, so
 * that each check is reached by those that pass the checks before it.
 */
final class FuzzInputs {

    /** A member whose token is known, so that what it sends is let in. */
    static final String MEMBER = "member";

    private static final String INSTANCE = "i";
    private static final List<String> TEXTS =
            List.of(
                    "",
                    "0",
                    "-1",
                    "1.5",
                    "NaN",
                    "9223372036854775807",
                    "9223372036854775808",
                    "-9223372036854775808",
                    "2147483647",
                    "4294967296",
                    "00000000",
                    "../../etc/passwd",
                    "a/b",
                    "ü€𝄞",
                    "line\nbreak",
                    "\u0000",
                    "#",
                    "+",
                    "DELTA",
                    "{\"loss\":NaN}",
                    "{\"loss\":1e999}",
                    "[".repeat(5000),
                    "{\"a\":".repeat(2000),
                    "9".repeat(70_000),
                    "x".repeat(30_000));

    private final Random random;
    private final String job;
    private final Run run;
    private final RoundId round;
    private final List<byte[]> payloads = new ArrayList<>();

    /**
     * An input.
     *
     * @param properties beside the payload
     */
    record Input(Map<String, String> properties, byte[] payload) {}

    FuzzInputs(long seed, String job, Run run, RoundId round) {
        this.random = new Random(seed);
        this.job = job;
        this.run = run;
        this.round = round;
        byte[] update = SmallModel.bytes(7);
        // Small ones, which are rejected when they are whole, are quick to send.
        payloads.add(update);
        payloads.add(Arrays.copyOf(update, 3000));
        payloads.add(new byte[] {1});
    }

    /** A chunk of an update. */
    Input chunk() {
        byte[] whole = payloads.get(random.nextInt(20) == 0 ? 0 : 1 + random.nextInt(2)).clone();
        mutate(whole);
        int chunkBytes = random.nextBoolean() ? ChunkPart.MAX_CHUNK_BYTES : 1024;
        int count = ChunkPart.count(whole.length, chunkBytes);
        int chunk = random.nextInt(count);
        byte[] part =
                Arrays.copyOfRange(
                        whole,
                        chunk * chunkBytes,
                        Math.min(whole.length, (chunk + 1) * chunkBytes));
        String trainer = random.nextInt(4) == 0 ? "stranger" : MEMBER;
        ChunkHeader header =
                new ChunkHeader(
                        job,
                        trainer,
                        random.nextInt(4) == 0 ? Integer.MAX_VALUE : round.round(),
                        random.nextInt(4) == 0 ? random.nextLong(RoundId.MAX_EPOCH) : round.epoch(),
                        INSTANCE,
                        random.nextInt(4) == 0 ? "guess" : run.token(trainer, INSTANCE),
                        1 + random.nextInt(1000),
                        random.nextInt(4) == 0 ? random.nextLong() : 1,
                        UpdateKind.values()[random.nextInt(2)],
                        Map.of("loss", 0.5),
                        new ChunkPart(
                                chunk,
                                count,
                                chunkBytes,
                                whole.length,
                                ChunkPart.crc(ByteBuffer.wrap(whole)),
                                ChunkPart.crc(ByteBuffer.wrap(part))));
        Map<String, String> properties = new TreeMap<>(header.toProperties());
        for (int changes = random.nextInt(3); changes > 0; changes--) {
            List<String> names = List.copyOf(properties.keySet());
            String name = names.get(random.nextInt(names.size()));
            switch (random.nextInt(3)) {
                case 0 -> properties.remove(name);
                case 1 -> properties.put(name, text());
                default -> properties.put(text(), text());
            }
        }
        if (random.nextInt(8) == 0) {
            mutate(part);
        }
        return new Input(properties, random.nextInt(16) == 0 ? garbage() : part);
    }

    /** A control message. */
    byte[] control() {
        String json =
                "{\"type\":\"%s\",\"job\":\"%s\",\"trainer\":\"%s\",\"instance\":\"%s\",\"group\":\"%s\"}"
                        .formatted(
                                List.of("JOIN", "HEARTBEAT", "LEAVE", "DANCE")
                                        .get(random.nextInt(4)),
                                job,
                                "fuzz-" + random.nextInt(3),
                                "i-" + random.nextInt(3),
                                random.nextInt(3) == 0 ? "mars" : "eu");
        byte[] bytes =
                (random.nextInt(4) == 0
                                ? json.replaceFirst("fuzz-.", "\\\\\\\\ud800" + random.nextInt(10))
                                : json)
                        .getBytes(StandardCharsets.UTF_8);
        if (random.nextBoolean()) {
            mutate(bytes);
        }
        return random.nextInt(8) == 0 ? garbage() : bytes;
    }

    /** A region file: a header that is sound, or nearly, and a payload that is not. */
    byte[] region(byte[] sound) {
        byte[] bytes = sound.clone();
        for (int changes = 1 + random.nextInt(8); changes > 0; changes--) {
            // Most of what decides stands in the header page, and in the safetensors header.
            int at = random.nextInt(random.nextBoolean() ? 400 : Math.min(bytes.length, 4400));
            bytes[at] = (byte) random.nextInt();
        }
        return random.nextInt(8) == 0 ? Arrays.copyOf(bytes, random.nextInt(bytes.length)) : bytes;
    }

    private byte[] garbage() {
        byte[] garbage = new byte[random.nextInt(200)];
        random.nextBytes(garbage);
        return garbage;
    }

    private void mutate(byte[] bytes) {
        for (int changes = random.nextInt(4); changes > 0; changes--) {
            bytes[random.nextInt(Math.min(bytes.length, 600))] = (byte) random.nextInt();
        }
    }

    private String text() {
        return TEXTS.get(random.nextInt(TEXTS.size()));
    }
}
