// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.job.config.JobSpec;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.testutils.SmallModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RetainedCheckpointsTest {

    @TempDir Path temp;

    private JobSpec spec;

    @BeforeEach
    void parse() throws IOException {
        Files.write(temp.resolve("schema.json"), TreeSchemas.json(3, List.of("us", "eu"), 1));
        SmallModel.write(temp.resolve("model.safetensors"), 1);
        spec =
                JobSpec.parse(
                        "job.yaml",
                        """
                        job.name: digits
                        topology: schema.json
                        rounds.count: 3
                        model:
                          initial: model.safetensors
                          directory: models
                        transports: mqtt://127.0.0.1:1883
                        regions.quota: 64 mb
                        checkpoints.directory: checkpoints
                        """,
                        temp);
    }

    private Path checkpoint(String submission, int number, boolean complete) throws IOException {
        Path directory = temp.resolve("checkpoints/digits/%s/chk-%d".formatted(submission, number));
        Files.createDirectories(directory);
        return complete ? Files.createFile(directory.resolve("_metadata")) : directory;
    }

    @Test
    void theNewestIsOfTheLastSubmissionWhateverFilesSayOfTheirTimes() throws IOException {
        assertThat(RetainedCheckpoints.newest(spec)).as("never submitted").isEmpty();
        for (String id : List.of("first", "second")) {
            RetainedCheckpoints.note(spec, id, Optional.empty());
        }
        Path earlier = checkpoint("first", 70, true);
        checkpoint("second", 9, true);
        checkpoint("second", 10, true);
        checkpoint("second", 11, false);
        Files.setLastModifiedTime(earlier, FileTime.from(Instant.now().plusSeconds(3600)));

        assertThat(RetainedCheckpoints.newest(spec))
                .hasValue(temp.resolve("checkpoints/digits/second/chk-10").toString());
        assertThat(RetainedCheckpoints.last(spec)).hasValue("second");
    }

    @Test
    void aSubmissionThatHasMadeNoneGoesOnFromWhatItWentOnFrom() throws IOException {
        RetainedCheckpoints.note(spec, "first", Optional.empty());
        String from = checkpoint("first", 7, true).getParent().toString();
        RetainedCheckpoints.note(spec, "second", Optional.of(from));
        assertThat(RetainedCheckpoints.newest(spec)).hasValue(from);
        checkpoint("second", 8, true);
        assertThat(RetainedCheckpoints.newest(spec))
                .hasValue(temp.resolve("checkpoints/digits/second/chk-8").toString());
    }

    @Test
    void nobodyGoesBackToAnEarlierRunByAccident() throws IOException {
        RetainedCheckpoints.note(spec, "first", Optional.empty());
        checkpoint("first", 7, true);
        RetainedCheckpoints.note(spec, "second", Optional.empty());
        assertThatThrownBy(() -> RetainedCheckpoints.newest(spec))
                .hasMessageContaining("the last submission (second) left no checkpoint")
                .hasMessageContaining("first/chk-7, give that to --from-savepoint");
    }
}
