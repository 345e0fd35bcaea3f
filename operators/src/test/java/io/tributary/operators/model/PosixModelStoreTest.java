// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.message.RoundLedger;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class PosixModelStoreTest extends ModelStoreTest {

    @Override
    ModelStore at(Path directory) {
        return ModelStore.at(directory.toString());
    }

    @Override
    List<String> names() {
        return List.of("versions", "model-1.json", "model-1.safetensors");
    }

    @Test
    void aReleasedVersionIsItsRoundsModel() throws Exception {
        try (ModelWriter writer = models.write(FIRST, layout)) {
            write(writer, 1);
            writer.finish();
        }
        models.release(new RoundLedger("job", 1, 7, 7, "", List.of()));
        PosixModelStore files = PosixModelStore.at(temp.resolve("models"));
        assertThat(files.model(1)).hasSameBinaryContentAs(files.version(FIRST));
    }
}
