// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ElementsTest {

    @Test
    void everyF16ComesBack() {
        for (int bits = 0; bits <= 0xFFFF; bits++) {
            float value = Elements.fromF16((short) bits);
            if (!Float.isNaN(value)) {
                assertThat(Elements.toF16(value)).isEqualTo((short) bits);
            }
        }
    }

    @Test
    void everyBf16ComesBack() {
        for (int bits = 0; bits <= 0xFFFF; bits++) {
            float value = Elements.fromBf16((short) bits);
            if (!Float.isNaN(value)) {
                assertThat(Elements.toBf16(value)).isEqualTo((short) bits);
            }
        }
    }

    /**
     * Written from the definition of F16: sign, 5 bits of exponent with bias 15, 10 of fraction.
     */
    @ParameterizedTest
    @CsvSource({
        "0x3C00, 1",
        "0x3C01, 1.0009765625",
        "0xC000, -2",
        "0x7BFF, 65504",
        "0x0001, 5.9604644775390625e-8",
        "0x03FF, 6.09755516052246e-5",
        "0x0400, 6.103515625e-5"
    })
    void f16MeansWhatTheStandardSays(String bits, double value) {
        assertThat((double) Elements.fromF16((short) (int) Integer.decode(bits)))
                .isCloseTo(value, org.assertj.core.data.Offset.offset(1e-16));
    }

    @Property
    void f16RoundsToTheNearestAndTiesToEven(
            @ForAll @DoubleRange(min = -70000, max = 70000) double value) {
        short rounded = Elements.toF16(value);
        double distance = Math.abs(Elements.fromF16(rounded) - value);
        if (Double.isInfinite(distance)) {
            assertThat(Math.abs(value)).isGreaterThanOrEqualTo(65520);
            return;
        }
        for (int step : new int[] {-1, 1}) {
            float neighbour = Elements.fromF16((short) (rounded + step));
            if (Float.isFinite(neighbour)) {
                double other = Math.abs(neighbour - value);
                assertThat(distance).isLessThanOrEqualTo(other);
                if (distance == other && neighbour != Elements.fromF16(rounded)) {
                    assertThat(rounded & 1).isZero();
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "I64, 2.5, 2",
        "I64, 3.5, 4",
        "I64, -2.5, -2",
        "I32, 1e12, 2147483647",
        "I8, -200, -128",
        "I8, 0.5, 0",
        "U8, 255.5, 255",
        "U8, -1, 0",
        "BOOL, 0.5, 0",
        "BOOL, 0.51, 1"
    })
    void integersRoundHalfToEvenAndSaturate(DType type, double value, double expected) {
        ByteBuffer buffer = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        Elements.put(type, buffer, 0, value);
        assertThat(Elements.get(type, buffer, 0)).isEqualTo(expected);
    }
}
