// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TensorFileTest {

    @TempDir Path temp;

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F64", "F32", "F16", "BF16"})
    void nanAndInfinityAreNamed(DType type) throws IOException {
        SafetensorsHeader header =
                SafetensorsHeader.create(
                        List.of(
                                SafetensorsHeader.tensor("ok", DType.I8, 3),
                                SafetensorsHeader.tensor("w", type, 300, 400)),
                        Map.of());
        ModelLayout model = new ModelLayout(header, 1000);
        ByteBuffer bytes =
                ByteBuffer.allocate((int) header.fileLength()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(header.bytes());
        int at = (int) header.dataOffset() + 3 + (250 * 400 + 17) * type.bytes();
        for (double bad : new double[] {Double.NaN, Double.NEGATIVE_INFINITY}) {
            type.put(bytes, at, bad);
            Path file = Files.write(temp.resolve("u"), bytes.array());
            try (TensorFile tensors = TensorFile.open(file)) {
                assertThatThrownBy(() -> tensors.check(model))
                        .isInstanceOfSatisfying(
                                RejectedException.class,
                                e -> assertThat(e.reason()).isEqualTo(RejectReason.NOT_FINITE))
                        .hasMessageContaining("tensor 'w' has")
                        .hasMessageContaining("at index [250, 17]");
            }
        }
        type.put(bytes, at, 1.5);
        try (TensorFile tensors = TensorFile.open(Files.write(temp.resolve("u"), bytes.array()))) {
            tensors.check(model);
        }
    }

    @Test
    void aTruncatedOrMissingPayloadIsLost() throws IOException {
        Path file = Files.write(temp.resolve("p"), new byte[100]);
        assertThatThrownBy(() -> MappedFile.open(new PayloadRef(file.toString(), 50, 51, 1)))
                .hasMessageContaining("has 100 bytes, expected 101; it was truncated");
        assertThatThrownBy(() -> MappedFile.open(new PayloadRef(temp + "/none", 0, 1, 1)))
                .isInstanceOfSatisfying(
                        RejectedException.class,
                        e -> assertThat(e.reason()).isEqualTo(RejectReason.PAYLOAD_LOST));
    }

    /**
     * A sparse file, so that it costs no disk; slices lie on both sides of each window's border.
     */
    @Test
    void payloadsOfMoreThan2GigabytesAreRead() throws IOException {
        long length = (2L << 30) + 5000;
        Path file = temp.resolve("large");
        try (RandomAccessFile raw = new RandomAccessFile(file.toFile(), "rw")) {
            raw.setLength(length);
            for (long place : new long[] {(1L << 30) - 1, 1L << 30, (2L << 30) + 4999}) {
                raw.seek(place);
                raw.write((int) (place % 251));
            }
        }
        try (MappedFile mapped = MappedFile.open(new PayloadRef(file.toString(), 0, length, 0))) {
            ByteBuffer across = mapped.slice((1L << 30) - 1, 2);
            assertThat(across.get(0)).isEqualTo((byte) (((1L << 30) - 1) % 251));
            assertThat(across.get(1)).isEqualTo((byte) ((1L << 30) % 251));
            assertThat(mapped.slice(length - 1, 1).get(0))
                    .isEqualTo((byte) (((2L << 30) + 4999) % 251));
            assertThatThrownBy(() -> mapped.slice(length - 1, 2))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
    }
}
