// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.chunk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ChunkHeaderTest {

    private static ChunkPart part(int chunk, int chunks, int chunkBytes, long length, byte[] b) {
        return new ChunkPart(
                chunk, chunks, chunkBytes, length, 7, ChunkPart.crc(ByteBuffer.wrap(b)));
    }

    @Property
    void comesBackFromProperties(
            @ForAll @IntRange(min = 1) int round,
            @ForAll @LongRange(min = 0, max = RoundId.MAX_EPOCH) long epoch,
            @ForAll long attempt,
            @ForAll long samples,
            @ForAll @LongRange(min = 1) long length,
            @ForAll int crc) {
        ChunkHeader header =
                new ChunkHeader(
                        "job-1",
                        "t.7_x",
                        round,
                        epoch,
                        "i-1",
                        "a token",
                        attempt,
                        samples,
                        UpdateKind.DELTA,
                        Map.of("loss", 0.5),
                        new ChunkPart(3, 9, 1024, length, crc, ~crc));

        assertThat(ChunkHeader.fromProperties(header.toProperties())).isEqualTo(header);
    }

    @Property
    void garbageIsRejected(
            @ForAll @IntRange(min = 0, max = 15) int property, @ForAll String garbage) {
        Map<String, String> p =
                new HashMap<>(
                        new ChunkHeader(
                                        "j",
                                        "t",
                                        1,
                                        0,
                                        "i",
                                        "",
                                        1,
                                        1,
                                        UpdateKind.WEIGHTS,
                                        Map.of(),
                                        new ChunkPart(0, 1, 10, 10, 0, 0))
                                .toProperties());
        String name = p.keySet().stream().sorted().toList().get(property % p.size());
        p.put(name, garbage);
        try {
            ChunkHeader.fromProperties(p);
        } catch (RejectedException expected) {
            assertThat(expected.getMessage()).isNotBlank();
        }
    }

    @Test
    void namesTheMissingProperty() {
        assertThatThrownBy(() -> ChunkHeader.fromProperties(Map.of("job", "x")))
                .isInstanceOf(RejectedException.class)
                .hasMessageContaining("property 'kind' is missing");
    }

    @ParameterizedTest
    @CsvSource({
        "0, 3, 2048, 5000, 2048, ok",
        "2, 3, 2048, 5000, 904, ok",
        "0, 1, 4, 4, 4, ok",
        "0, 1, 10, 4, 4, ok",
        "2, 3, 2048, 5000, 2048, should have 904 bytes",
        "3, 3, 2048, 5000, 2048, chunk 3 of 3",
        "0, 2, 2048, 5000, 2048, do not make 5000 bytes",
        "0, 1, 4, 0, 4, or more",
        "0, 1, 1048577, 4, 4, allowed are 1 to 1048576",
        "0, 200000000, 1, 200000000, 1, expected 1024 or more",
        "0, 5, 1023, 5000, 1023, expected 1024 or more",
        "0, 1, 1048576, 9223372036854775807, 4, do not make"
    })
    void numbersMustFit(
            int chunk, int chunks, int chunkBytes, long length, int bytes, String expected) {
        byte[] payload = new byte[bytes];
        ChunkPart part = part(chunk, chunks, chunkBytes, length, payload);
        if (expected.equals("ok")) {
            part.check(ByteBuffer.wrap(payload));
        } else {
            assertThatThrownBy(() -> part.check(ByteBuffer.wrap(payload)))
                    .isInstanceOf(RejectedException.class)
                    .hasMessageContaining(expected);
        }
    }

    @Test
    void bytesMustHaveTheirChecksum() {
        byte[] payload = {1, 2, 3};
        ChunkPart part = part(0, 1, 3, 3, payload);
        payload[1] = 9;
        assertThatThrownBy(() -> part.check(ByteBuffer.wrap(payload)))
                .hasMessageContaining("should have CRC32C");
    }

    /** The check value of CRC-32C for "123456789", from the catalogue of CRC algorithms. */
    @Test
    void crcIsCastagnolis() {
        assertThat(ChunkPart.crc(ByteBuffer.wrap("123456789".getBytes()))).isEqualTo(0xE3069283);
    }

    @Test
    void whatMustBeUnderstoodBesideAChunkIsNotIgnored() {
        ChunkHeader header =
                new ChunkHeader(
                        "j",
                        "t",
                        1,
                        0,
                        "i",
                        "",
                        1,
                        1,
                        UpdateKind.WEIGHTS,
                        Map.of(),
                        new ChunkPart(0, 1, 10, 10, 0, 0));
        Map<String, String> p = new HashMap<>(header.toProperties());
        assertThat(p).containsEntry("version", "1");
        p.put("later", "x");
        assertThat(ChunkHeader.fromProperties(p)).isEqualTo(header);
        p.put("must", "encoding,signature");
        assertThatThrownBy(() -> ChunkHeader.fromProperties(p))
                .isInstanceOfSatisfying(
                        RejectedException.class,
                        e -> assertThat(e.reason()).isEqualTo(RejectReason.UNSUPPORTED))
                .hasMessageContaining("must be read with [encoding, signature]");
    }

    /** What cannot be kept is counted, and decides nothing. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "{\"loss\": 0.5} | 1 | 0",
                "{\"loss\": 1e999, \"accuracy\": 0.5, \"name\": \"x\"} | 1 | 2",
                "{\"loss\": NaN} | 0 | 0",
                "[1, 2] | 0 | 2",
            })
    void metricsThatCannotBeKeptAreCounted(String metrics, int kept, int dropped) {
        Map<String, String> properties =
                new HashMap<>(
                        new ChunkHeader(
                                        "job",
                                        "t",
                                        1,
                                        0,
                                        "i",
                                        "token",
                                        1,
                                        1,
                                        UpdateKind.WEIGHTS,
                                        Map.of(),
                                        part(0, 1, 8, 8, new byte[8]))
                                .toProperties());
        properties.put("metrics", metrics);
        ChunkHeader read = ChunkHeader.fromProperties(properties);
        assertThat(read.metrics()).hasSize(kept);
        assertThat(read.dropped()).isEqualTo(dropped);
    }
}
