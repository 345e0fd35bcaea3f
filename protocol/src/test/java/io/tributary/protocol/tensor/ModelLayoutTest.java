// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.tensor.ModelLayout.Segment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class ModelLayoutTest {

    private static SafetensorsHeader header(List<Integer> lengths) {
        List<TensorInfo> tensors = new ArrayList<>();
        for (int i = 0; i < lengths.size(); i++) {
            DType type = DType.values()[i % DType.values().length];
            tensors.add(SafetensorsHeader.tensor("t" + i, type, lengths.get(i)));
        }
        return SafetensorsHeader.create(tensors, Map.of());
    }

    /** Every element lies in exactly one shard, in order, and the file's bytes follow suit. */
    @Property
    void shardsPartTheModel(
            @ForAll @Size(min = 1, max = 12) List<@IntRange(min = 0, max = 40) Integer> lengths,
            @ForAll @IntRange(min = 1, max = 50) int shardElements) {
        if (lengths.stream().mapToInt(Integer::intValue).sum() == 0) {
            return;
        }
        SafetensorsHeader header = header(lengths);
        ModelLayout layout = new ModelLayout(header, shardElements);
        List<String> seen = new ArrayList<>();
        long fileOffset = header.dataOffset();
        for (int shard = 0; shard < layout.shards(); shard++) {
            assertThat(layout.fileOffset(shard)).isEqualTo(fileOffset);
            fileOffset += layout.shardBytes(shard);
            int at = 0;
            for (Segment segment : layout.segments(shard)) {
                assertThat(segment.at()).isEqualTo(at);
                at += segment.count();
                for (long e = segment.from(); e < segment.from() + segment.count(); e++) {
                    seen.add(segment.tensor() + ":" + e);
                }
            }
            assertThat(at).isEqualTo(layout.shardLength(shard));
        }
        assertThat(fileOffset).isEqualTo(header.fileLength());
        List<String> all = new ArrayList<>();
        for (int t = 0; t < lengths.size(); t++) {
            for (int e = 0; e < lengths.get(t); e++) {
                all.add(t + ":" + e);
            }
        }
        assertThat(seen).isEqualTo(all);
    }

    @Test
    void namesTheTensorThatDiffers() {
        ModelLayout model =
                layout(
                        SafetensorsHeader.tensor("fc1.weight", DType.F32, 256, 784),
                        SafetensorsHeader.tensor("fc1.bias", DType.F32, 256));

        assertThatThrownBy(
                        () ->
                                model.match(
                                        layout(
                                                        SafetensorsHeader.tensor(
                                                                "fc1.weight", DType.F32, 128, 784),
                                                        SafetensorsHeader.tensor(
                                                                "fc1.bias", DType.F32, 256))
                                                .header()))
                .hasMessage("tensor 'fc1.weight' has shape [128, 784], the model has [256, 784]");
        assertThatThrownBy(
                        () ->
                                model.match(
                                        layout(
                                                        SafetensorsHeader.tensor(
                                                                "fc1.weight", DType.F32, 256, 784))
                                                .header()))
                .hasMessage("tensor 'fc1.bias' is missing");
        assertThatThrownBy(
                        () ->
                                model.match(
                                        layout(
                                                        SafetensorsHeader.tensor(
                                                                "fc1.weight", DType.F32, 256, 784),
                                                        SafetensorsHeader.tensor(
                                                                "fc1.bias", DType.F32, 256),
                                                        SafetensorsHeader.tensor(
                                                                "fc2.bias", DType.F32, 1))
                                                .header()))
                .hasMessageStartingWith("tensor 'fc2.bias' is not in the model");
    }

    @Test
    void findsTensorsInAnotherOrder() {
        ModelLayout model =
                layout(
                        SafetensorsHeader.tensor("a", DType.F32, 2),
                        SafetensorsHeader.tensor("b", DType.F32, 3));
        SafetensorsHeader update =
                layout(
                                SafetensorsHeader.tensor("b", DType.F32, 3),
                                SafetensorsHeader.tensor("a", DType.F32, 2))
                        .header();

        assertThat(model.match(update))
                .extracting(tensor -> tensor.orElseThrow().begin())
                .containsExactly(12L, 0L);
    }

    private static final TensorInfo A = SafetensorsHeader.tensor("a", DType.F32, 2);
    private static final TensorInfo HEAD = SafetensorsHeader.tensor("head.b", DType.F32, 3);

    private static ModelLayout layout(boolean partial, List<String> personal) {
        return new ModelLayout(
                TensorSets.with(
                        SafetensorsHeader.create(List.of(A, HEAD), Map.of()), List.of("control")),
                100,
                new UpdateTensors(partial, personal));
    }

    private static SafetensorsHeader update(String... names) {
        return SafetensorsHeader.create(
                Arrays.stream(names)
                        .map(
                                name ->
                                        SafetensorsHeader.tensor(
                                                name, DType.F32, name.endsWith("head.b") ? 3 : 2))
                        .toList(),
                Map.of());
    }

    @Test
    void aPartialUpdateHasSomeTensors() {
        ModelLayout model = layout(true, List.of());
        assertThat(model.match(update("head.b", "control/head.b")))
                .extracting(Optional::isPresent)
                .containsExactly(false, true, false, true);
        assertThat(model.minUpdateBytes()).isZero();
        assertThatThrownBy(() -> model.match(update()))
                .hasMessage("it has no tensor; a partial update has at least one of the model's");
        assertThatThrownBy(() -> model.match(update("a", "b")))
                .hasMessage("tensor 'b' is not in the model; leave it out");
    }

    /** A server optimizer would take what is missing for no change. */
    @Test
    void aTensorGoesWithThoseOfAllSets() {
        ModelLayout model = layout(true, List.of());
        model.check(update("a", "control/a"));
        assertThatThrownBy(() -> model.check(update("a", "head.b", "control/head.b")))
                .hasMessage(
                        "tensor 'control/a' is missing; it goes with 'a', since the model has tensor sets");
        assertThatThrownBy(() -> model.check(update("a", "control/a", "control/head.b")))
                .hasMessage(
                        "tensor 'head.b' is missing; it goes with 'control/head.b', since the model has tensor sets");
    }

    @Test
    void aPersonalTensorStaysAway() {
        ModelLayout model = layout(false, List.of("head.*"));
        assertThat(model.match(update("a", "control/a")))
                .extracting(Optional::isPresent)
                .containsExactly(true, false, true, false);
        assertThat(model.minUpdateBytes()).isEqualTo(16);
        assertThatThrownBy(() -> model.match(update("a")))
                .hasMessage("tensor 'control/a' is missing");
        for (String personal : List.of("head.b", "control/head.b")) {
            assertThatThrownBy(() -> model.match(update("a", "control/a", personal)))
                    .hasMessage(
                            "tensor '%s' is personal (model.personal) and must not leave the trainer; leave it out"
                                    .formatted(personal));
        }
    }

    private static ModelLayout layout(TensorInfo... tensors) {
        return new ModelLayout(SafetensorsHeader.create(List.of(tensors), Map.of()), 100);
    }
}
