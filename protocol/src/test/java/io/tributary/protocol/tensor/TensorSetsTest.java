// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TensorSetsTest {

    private static final SafetensorsHeader MODEL =
            SafetensorsHeader.create(
                    List.of(
                            SafetensorsHeader.tensor("w", DType.F32, 2, 3),
                            SafetensorsHeader.tensor("h", DType.BF16, 4),
                            SafetensorsHeader.tensor("d", DType.F64, 1),
                            SafetensorsHeader.tensor("n", DType.I64, 1)),
                    Map.of("format", "pt"));

    @Test
    void aSetHasATensorForEachFloatingOne() {
        SafetensorsHeader with = TensorSets.with(MODEL, List.of("control"));
        assertThat(with.tensors())
                .extracting(t -> t.name() + " " + t.dtype() + t.shape())
                .containsExactly(
                        "w F32[2, 3]",
                        "h BF16[4]",
                        "d F64[1]",
                        "n I64[1]",
                        "control/w F32[2, 3]",
                        "control/h F32[4]",
                        "control/d F64[1]");
        assertThat(with.metadata())
                .containsEntry("format", "pt")
                .containsEntry(TensorSets.KEY, "[\"control\"]");
        assertThat(TensorSets.of(with)).containsExactly("control");
        assertThat(TensorSets.model(with))
                .extracting(TensorInfo::name)
                .containsExactly("w", "h", "d", "n");
    }

    @Test
    void itIsTakenOutAgainAndLeftAlone() {
        SafetensorsHeader with = TensorSets.with(MODEL, List.of("control"));
        assertThat(TensorSets.with(with, List.of("control"))).isSameAs(with);
        assertThat(TensorSets.with(with, List.of()).tensors()).isEqualTo(MODEL.tensors());
        assertThat(TensorSets.with(MODEL, List.of())).isSameAs(MODEL);
    }

    @Test
    void aTensorThatHasTheNameOfASetsAndIsNoneIsNamed() {
        SafetensorsHeader odd =
                SafetensorsHeader.create(
                        List.of(
                                SafetensorsHeader.tensor("w", DType.F32, 2),
                                SafetensorsHeader.tensor("control/w", DType.I32, 2)),
                        Map.of());
        assertThatThrownBy(() -> TensorSets.with(odd, List.of("control")))
                .hasMessage(
                        "tensor 'control/w' of set 'control' is I32[2], expected floating numbers of shape [2], as tensor 'w' has it");
    }

    @Test
    void aTensorOfTheModelIsNotLeftOut() {
        SafetensorsHeader odd =
                SafetensorsHeader.create(
                        List.of(
                                SafetensorsHeader.tensor("w", DType.F32, 2),
                                SafetensorsHeader.tensor("control/gate", DType.F32, 2)),
                        Map.of());
        assertThatThrownBy(() -> TensorSets.with(odd, List.of("control")))
                .hasMessage(
                        "tensor 'control/gate' has a name of set 'control', but there is no floating tensor 'gate'; rename it");
    }

    @ParameterizedTest
    @ValueSource(strings = {"[", "3", "{}", "\"\""})
    void metadataOfSomebodyElseSayNothing(String text) {
        SafetensorsHeader odd =
                SafetensorsHeader.create(MODEL.tensors(), Map.of(TensorSets.KEY, text));
        assertThat(TensorSets.of(odd)).isEmpty();
    }
}
