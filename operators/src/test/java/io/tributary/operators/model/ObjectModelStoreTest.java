// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.operators.testutils.TestModels;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.UpdateKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** By Flink's own file system; ObjectStoreITCase has a real store. */
class ObjectModelStoreTest extends ModelStoreTest {

    @Override
    ModelStore at(Path directory) {
        return ModelStore.at(uri(directory));
    }

    private static String uri(Path path) {
        return "file://" + path;
    }

    @Override
    List<String> names() {
        return List.of("versions", "model-1.json");
    }

    @AfterEach
    void removeCopies() throws IOException {
        for (String store : List.of("models", "models/versions", "")) {
            Path copies = ModelCache.directory(uri(temp.resolve(store)).replaceAll("/$", ""));
            if (Files.exists(copies)) {
                try (Stream<Path> all = Files.walk(copies)) {
                    all.sorted((a, b) -> b.compareTo(a)).forEach(path -> path.toFile().delete());
                }
            }
        }
    }

    private Path finish(int first) throws Exception {
        try (ModelWriter writer = models.write(FIRST, layout)) {
            write(writer, first);
            return writer.finish();
        }
    }

    /**
     * The initial model's place may be that of another one the next time; a version's is unique.
     */
    @Test
    void anObjectThatIsReplacedIsCopiedAgain() throws Exception {
        Path former = ModelCache.local(uri(initial));
        byte[] before = Files.readAllBytes(former);
        byte[] after = before.clone();
        after[after.length - 1] ^= 1;
        Files.write(initial, after);
        Files.setLastModifiedTime(
                initial, java.nio.file.attribute.FileTime.fromMillis(1_000_000_000_000L));
        assertThat(models.base(new RoundId(0, 0), new ModelSpec(uri(initial), 4, spec.kind())))
                .hasBinaryContent(after);
        assertThat(former).hasBinaryContent(before);
    }

    @Test
    void anUploadThatFailsLeavesNothing() throws Exception {
        Files.createDirectories(temp.resolve("models"));
        // No directory can be made where a file is.
        Files.writeString(temp.resolve("models/versions"), "");
        try (ModelWriter writer = models.write(FIRST, layout)) {
            write(writer, 1);
            assertThatThrownBy(writer::finish).hasMessageContaining(" cannot be written: ");
        }
        Path work = ModelCache.directory(uri(temp.resolve("models"))).resolve("work/versions");
        assertThat(work).isEmptyDirectory();
        Files.delete(temp.resolve("models/versions"));
    }

    @Test
    void whatAKillLeftOfACopyGoes() throws Exception {
        Path copies = ModelCache.directory(uri(temp.resolve("models/versions")));
        Path left = Files.writeString(copies.resolve(".x.part"), "half");
        models.prepare();
        assertThat(left).doesNotExist();
    }

    @Test
    void onlyTheLastCopiesAreKept() throws Exception {
        Path first = finish(1);
        Path copied = Files.copy(first, temp.resolve("copy"));
        for (int round = 2; round <= 6; round++) {
            Path object =
                    temp.resolve("models/versions/%s.safetensors".formatted(new RoundId(round, 7)));
            Files.copy(copied, object);
            ModelCache.local(uri(object));
        }
        assertThat(first).doesNotExist();
        assertThat(models.base(FIRST, spec)).as("made again").exists();
    }

    @Test
    void theInitialModelMayBeAnObject() throws Exception {
        ModelSpec object = new ModelSpec(uri(initial), 4, UpdateKind.WEIGHTS);
        assertThat(object.layout().shards()).isEqualTo(layout.shards());
        assertThat(object.file()).hasSameBinaryContentAs(initial);
        Files.delete(initial);
        assertThatThrownBy(object::layout).hasMessageContaining(uri(initial) + " cannot be read");
        TestModels.write(initial, layout.header(), 1);
    }

    @Test
    void aPlaceWithoutAFileSystemIsNamed() {
        assertThatThrownBy(() -> ModelStore.at("s3://bucket/models/").create())
                .hasMessageContaining(
                        "Could not find a file system implementation for scheme 's3'");
    }
}
