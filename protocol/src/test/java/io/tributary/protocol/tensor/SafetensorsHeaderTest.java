// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafetensorsHeaderTest {

    private static byte[] file(String json, int dataBytes) {
        byte[] text = json.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(8 + text.length + dataBytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(text.length)
                .put(text)
                .array();
    }

    private static SafetensorsHeader parse(byte[] file) {
        try {
            return SafetensorsHeader.parse(
                    file.length,
                    SafetensorsHeader.MAX_JSON_BYTES,
                    (at, into) -> into.put(file, (int) at, into.remaining()));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void writesWhatItReads() {
        SafetensorsHeader header =
                SafetensorsHeader.create(
                        List.of(
                                SafetensorsHeader.tensor("a", DType.F64, 2, 3),
                                SafetensorsHeader.tensor("b", DType.U8, 5),
                                SafetensorsHeader.tensor("scalar", DType.F32)),
                        Map.of("format", "pt"));
        byte[] bytes = new byte[(int) header.fileLength()];
        System.arraycopy(header.bytes(), 0, bytes, 0, header.bytes().length);

        SafetensorsHeader read = parse(bytes);

        assertThat(read.tensors()).isEqualTo(header.tensors());
        assertThat(read.bytes()).isEqualTo(header.bytes());
        assertThat(header.dataOffset() % 8).isZero();
        assertThat(header.fileLength() - header.dataOffset()).isEqualTo(48 + 5 + 4);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}};4;truncated",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}};12;longer than its header",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[4,12]}};12;begins at byte 4",
                "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4]},"
                        + "'b':{'dtype':'F32','shape':[1],'data_offsets':[2,6]}};6;overlap",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}};8;needs 8 bytes",
                "{'a':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}};8;needs 12 bytes",
                "{'a':{'dtype':'F31','shape':[2],'data_offsets':[0,8]}};8;'F31', supported are",
                "{'a':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}};8;non-negative",
                "{'a':{'dtype':'F32','shape':[1.5],'data_offsets':[0,8]}};8;non-negative",
                "{'a':{'dtype':'F32','shape':[4611686018427387904,4],'data_offsets':[0,8]}};8;2^63",
                "{'a':{'dtype':'F32','shape':[2]}};8;two data_offsets",
                "{'a':1,'a':2};0;Duplicate field 'a'",
                "[1];0;should be a JSON object",
                "{'a';0;JSON"
            })
    void saysWhatIsWrong(String json, int dataBytes, String message) {
        assertThatThrownBy(() -> parse(file(json.replace('\'', '"'), dataBytes)))
                .isInstanceOfSatisfying(
                        RejectedException.class,
                        e -> assertThat(e.reason()).isEqualTo(RejectReason.MALFORMED))
                .hasMessageContaining(message.replace("'a'", "'a'"))
                .message()
                .doesNotContain("\n");
    }

    @Test
    void rejectsAHeaderOfMoreThan100Megabytes(@TempDir Path directory) throws IOException {
        Path file = directory.resolve("x");
        byte[] start =
                ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putLong(100_000_001).array();
        Files.write(file, start);

        assertThatThrownBy(() -> SafetensorsHeader.read(file))
                .hasMessageContaining(file.toString())
                .hasMessageContaining("100000001 bytes");
    }

    @Test
    void rejectsWhatIsNoFile(@TempDir Path directory) throws IOException {
        assertThatThrownBy(() -> SafetensorsHeader.read(directory.resolve("none")))
                .hasMessageContaining("there is no such file");
        Path tiny = Files.write(directory.resolve("tiny"), new byte[3]);
        assertThatThrownBy(() -> SafetensorsHeader.read(tiny)).hasMessageContaining("3 bytes");
    }

    @Property(tries = 2000)
    void damageIsRejectedOrHarmless(
            @ForAll @Size(min = 1, max = 8) List<@IntRange(min = 0, max = 5000) Integer> places,
            @ForAll byte damage) {
        SafetensorsHeader header =
                SafetensorsHeader.create(
                        List.of(
                                SafetensorsHeader.tensor("a", DType.F32, 3, 4),
                                SafetensorsHeader.tensor("b", DType.I8, 7)),
                        Map.of());
        byte[] bytes = new byte[(int) header.fileLength()];
        System.arraycopy(header.bytes(), 0, bytes, 0, header.bytes().length);
        places.forEach(p -> bytes[p % bytes.length] ^= damage);
        try {
            SafetensorsHeader read = parse(bytes);
            assertThat(read.fileLength()).isEqualTo(bytes.length);
        } catch (RejectedException expected) {
            assertThat(expected.reason()).isEqualTo(RejectReason.MALFORMED);
        }
    }

    /** Each name costs the same, however many there are: quadratic, this would take minutes. */
    @Test
    void aHeaderOfManyTensorsIsReadInSeconds() {
        int count = 600_000;
        StringBuilder json = new StringBuilder("{");
        for (int i = 0; i < count; i++) {
            json.append(i == 0 ? "" : ",")
                    .append("\"blocks.%d.weight\":{\"dtype\":\"U8\",\"shape\":[1],".formatted(i))
                    .append("\"data_offsets\":[%d,%d]}".formatted(i, i + 1));
        }
        byte[] text = json.append('}').toString().getBytes(StandardCharsets.UTF_8);
        ByteBuffer file =
                ByteBuffer.allocate(8 + text.length + count).order(ByteOrder.LITTLE_ENDIAN);
        file.putLong(text.length).put(text).clear();
        assertTimeoutPreemptively(
                Duration.ofSeconds(30),
                () -> {
                    SafetensorsHeader header =
                            SafetensorsHeader.parse(
                                    file.capacity(),
                                    SafetensorsHeader.MAX_JSON_BYTES,
                                    (offset, buffer) ->
                                            buffer.put(
                                                    file.slice((int) offset, buffer.remaining())));
                    assertThat(header.tensors()).hasSize(count);
                    ModelLayout layout = new ModelLayout(header, 1 << 18);
                    assertThat(layout.match(header)).hasSize(count);
                    for (TensorInfo tensor : header.tensors()) {
                        assertThat(header.find(tensor.name())).hasValue(tensor);
                    }
                });
    }
}
