// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.cli.testutils.Cli;
import io.tributary.job.testutils.SmallModel;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(120)
class AggregateITCase {

    @TempDir Path temp;

    private Path out() {
        return temp.resolve("out.safetensors");
    }

    private Cli aggregate(List<String> options, List<String> updates) {
        List<String> args = new ArrayList<>(List.of("aggregate", "--out", out().toString()));
        args.addAll(options);
        args.addAll(updates);
        return Cli.run(args.toArray(String[]::new));
    }

    @ParameterizedTest
    @CsvSource({"2, 1, 8", "3, 4, 2", "4, 11, 3", "4, 30, 2", "3, 1, 1"})
    void theWeightedMeanForAnyTreeAndOrder(String tree, int files, String fanIn)
            throws IOException {
        Map<Path, Long> updates = new LinkedHashMap<>();
        Random random = new Random(files);
        for (int i = 0; i < files; i++) {
            updates.put(
                    SmallModel.write(temp.resolve("u" + i + ".safetensors"), i),
                    1L + random.nextInt(10_000));
        }
        List<String> args = new ArrayList<>();
        updates.forEach((file, samples) -> args.add(file + ":" + samples));
        Collections.shuffle(args, random);

        Cli cli = aggregate(List.of("--tree", tree, "--fan-in", fanIn), args);

        assertThat(cli.err()).isEmpty();
        assertThat(cli.exit()).isZero();
        assertThat(SmallModel.error(out(), updates)).isLessThan(1e-7);
        assertThat(Arrays.copyOf(Files.readAllBytes(out()), SmallModel.HEADER.bytes().length))
                .isEqualTo(SmallModel.HEADER.bytes());
    }

    @Test
    void deltasAreAddedToTheirBase() throws IOException {
        Path base = floats("base", 10, 20, 30);
        Path a = floats("a", 1, -2, 3);
        Path b = floats("b", 4, 0, 0.5f);

        Cli cli = aggregate(List.of("--base", base.toString()), List.of(a + ":1", b + ":3"));

        assertThat(cli.exit()).as(cli.err()).isZero();
        ByteBuffer values = data(out());
        assertThat(values.getFloat(0)).isEqualTo(10 + (1 + 12) / 4f);
        assertThat(values.getFloat(4)).isEqualTo(20 - 2 / 4f);
        assertThat(values.getFloat(8)).isEqualTo(30 + 4.5f / 4f);
    }

    private static final SafetensorsHeader THREE =
            SafetensorsHeader.create(
                    List.of(SafetensorsHeader.tensor("w", DType.F32, 3)), Map.of());

    private Path floats(String name, float... values) throws IOException {
        ByteBuffer bytes =
                ByteBuffer.allocate((int) THREE.fileLength()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(THREE.bytes());
        for (float value : values) {
            bytes.putFloat(value);
        }
        return Files.write(temp.resolve(name), bytes.array());
    }

    private static ByteBuffer data(Path file) throws IOException {
        byte[] all = Files.readAllBytes(file);
        return ByteBuffer.wrap(all, (int) THREE.dataOffset(), 12)
                .slice()
                .order(ByteOrder.LITTLE_ENDIAN);
    }

    private void assertRejected(Cli cli, String... words) {
        assertThat(cli.exit()).isEqualTo(2);
        assertThat(cli.err().lines()).singleElement();
        assertThat(cli.err()).startsWith("tributary: ").contains(words);
        assertThat(out()).doesNotExist();
    }

    @Test
    void badFilesAreNamedWithWhatIsWrong() throws IOException {
        Path good = floats("good", 1, 2, 3);
        Path nan = floats("nan", 1, Float.POSITIVE_INFINITY, 3);
        assertRejected(
                aggregate(List.of(), List.of(good.toString(), nan.toString())),
                nan.toString(),
                "tensor 'w' has Inf at index [1]");
        Path truncated =
                Files.write(
                        temp.resolve("short"),
                        Arrays.copyOf(Files.readAllBytes(good), (int) THREE.fileLength() - 3));
        assertRejected(
                aggregate(List.of(), List.of(good.toString(), truncated.toString())),
                truncated.toString(),
                "it is truncated");
        Path text = Files.writeString(temp.resolve("text"), "hello, this is text");
        assertRejected(
                aggregate(List.of(), List.of(text.toString())), "is this a safetensors file?");
        Path other = SmallModel.write(temp.resolve("other"), 1);
        assertRejected(
                aggregate(List.of(), List.of(good.toString(), other.toString())),
                "tensor 'w' is missing");
        assertRejected(
                aggregate(List.of(), List.of(temp + "/none")), "none: there is no such file");
    }

    @Test
    void aMeanThatIsNotFiniteIsRejectedAndWhatWasThereStays() throws IOException {
        SafetensorsHeader wide =
                SafetensorsHeader.create(
                        List.of(SafetensorsHeader.tensor("w", DType.F64, 1)), Map.of());
        ByteBuffer bytes =
                ByteBuffer.allocate((int) wide.fileLength()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(wide.bytes()).putDouble(1.5e308);
        Path a = Files.write(temp.resolve("wide-a"), bytes.array());
        Path b = Files.write(temp.resolve("wide-b"), bytes.array());
        Files.writeString(out(), "of before");

        Cli cli = aggregate(List.of(), List.of(a.toString(), b.toString()));

        assertThat(cli.exit()).isEqualTo(2);
        assertThat(cli.err().lines()).singleElement();
        assertThat(cli.err()).startsWith("tributary: ").contains("'w'", "Inf");
        assertThat(out()).hasContent("of before");
    }

    @Test
    void badUsageIsNamed() throws IOException {
        Path good = floats("good", 1, 2, 3);
        assertRejected(aggregate(List.of(), List.of(good + ":0")), "samples are '0'");
        assertRejected(aggregate(List.of(), List.of(good + ":-3")), "samples are '-3'");
        assertRejected(aggregate(List.of(), List.of(good + ":x")), "whole number of 1 or more");
        assertRejected(
                aggregate(List.of("--tree", "5"), List.of(good.toString())), "expected 2, 3 or 4");
        assertRejected(aggregate(List.of(), List.of()), "UPDATE.safetensors");
        assertRejected(
                Cli.run("aggregate", "--out", temp + "/no/such/x", good.toString()),
                "there is no directory");
    }

    @Test
    void onlyARegularFileIsReplaced() throws Exception {
        Path good = floats("good", 1, 2, 3);
        new ProcessBuilder("mkfifo", out().toString()).start().waitFor();
        Cli pipe = aggregate(List.of(), List.of(good.toString()));
        assertThat(pipe.exit()).isEqualTo(2);
        assertThat(pipe.err())
                .startsWith("tributary: --out " + out())
                .contains("it is no regular file, and is not replaced");
        assertThat(Files.readAttributes(out(), BasicFileAttributes.class).isOther()).isTrue();
        Files.delete(out());

        Files.createSymbolicLink(out(), temp.resolve("nothing"));
        assertThat(aggregate(List.of(), List.of(good.toString())).err())
                .contains("it is no regular file");
        Path behind = Files.writeString(temp.resolve("nothing"), "of before");
        Cli link = aggregate(List.of(), List.of(good.toString()));
        assertThat(link.exit()).as(link.err()).isZero();
        assertThat(out()).isSymbolicLink();
        assertThat(data(behind).getFloat(0)).isEqualTo(1);
    }

    @Test
    void noModelIsRenamedOverWhatIsNoFile() throws Exception {
        Path next = Files.writeString(temp.resolve("next"), "x");
        Path directory = Files.createDirectory(temp.resolve("model-1.safetensors"));
        assertThatThrownBy(() -> PosixModelStore.replace(next, directory))
                .hasMessageContaining("model-1.safetensors")
                .hasMessageContaining("it is no regular file");
        assertThat(next).exists();
    }
}
