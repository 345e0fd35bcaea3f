// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.model.ModelPublisher;
import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.message.RoundId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelPartsTest {

    @TempDir Path temp;

    private PublishedModel model(int round) throws IOException {
        Path file = temp.resolve("model-" + round);
        Files.write(file, new byte[(3 << 19) + round]);
        return new PublishedModel(
                ModelPublisher.describe("job", "run", new RoundId(round, 0), file),
                file.toString());
    }

    /** Two chunks and the description. */
    private static List<ModelPart> parts(PublishedModel model) {
        return IntStream.rangeClosed(0, 2).mapToObj(i -> new ModelPart(model, i)).toList();
    }

    private static OneInputStreamOperatorTestHarness<PublishedModel, ModelPart> harness()
            throws Exception {
        return harness("run");
    }

    private static OneInputStreamOperatorTestHarness<PublishedModel, ModelPart> harness(String run)
            throws Exception {
        return new OneInputStreamOperatorTestHarness<>(new ModelParts(run));
    }

    private static OperatorSubtaskState snapshotAfter(PublishedModel... models) throws Exception {
        try (var before = harness()) {
            before.open();
            for (PublishedModel model : models) {
                before.processElement(model, 0);
            }
            return before.snapshot(1, 0);
        }
    }

    private static List<ModelPart> restored(OperatorSubtaskState state, PublishedModel... models)
            throws Exception {
        try (var after = harness()) {
            after.initializeState(state);
            after.open();
            for (PublishedModel model : models) {
                after.processElement(model, 0);
            }
            after.setProcessingTime(1);
            return after.extractOutputValues();
        }
    }

    @Test
    void aModelLeavesInPartsItsDescriptionLast() throws Exception {
        PublishedModel model = model(1);
        try (var operator = harness()) {
            operator.open();
            operator.processElement(model, 0);
            operator.setProcessingTime(1);

            assertThat(operator.extractOutputValues()).isEqualTo(parts(model));
        }
    }

    @Test
    void afterARestoreTheNewestIsSentAgain() throws Exception {
        PublishedModel newest = model(2);

        assertThat(restored(snapshotAfter(model(1), newest))).isEqualTo(parts(newest));
    }

    @Test
    void aRunThatGoesOnSendsItAsItsOwn() throws Exception {
        PublishedModel newest = model(2);
        OperatorSubtaskState state = snapshotAfter(newest);

        try (var after = harness("next")) {
            after.initializeState(state);
            after.open();
            after.setProcessingTime(1);
            assertThat(after.extractOutputValues()).isEqualTo(parts(newest.in("next")));
        }
    }

    @Test
    void butNotWhenANewerOneHasCome() throws Exception {
        PublishedModel newer = model(3);

        assertThat(restored(snapshotAfter(model(2)), newer)).isEqualTo(parts(newer));
    }

    @Test
    void norWhenItsFileIsAnotherOrGone() throws Exception {
        PublishedModel model = model(2);
        OperatorSubtaskState state = snapshotAfter(model);
        Files.write(Path.of(model.path()), new byte[] {1});
        assertThat(restored(state)).isEmpty();
        Files.delete(Path.of(model.path()));
        assertThat(restored(state)).isEmpty();
    }
}
