// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class DTypeTest {

    private static ByteBuffer bits(DType type, long bits) {
        ByteBuffer buffer = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        return buffer.putLong(0, bits);
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F16", "BF16", "F8_E4M3", "F8_E5M2"})
    void everyValueComesBack(DType type) {
        int all = 1 << 8 * type.bytes();
        for (int bits = 0; bits < all; bits++) {
            double value = type.get(bits(type, bits), 0);
            if (!Double.isNaN(value)) {
                ByteBuffer again = bits(type, 0);
                type.put(again, 0, value);
                assertThat(again.getLong(0)).as("%x", bits).isEqualTo(bits);
            }
        }
    }

    /** From the definitions: sign, exponent with its bias, fraction. */
    @ParameterizedTest
    @CsvSource({
        "F8_E4M3, 0x38, 1",
        "F8_E4M3, 0x7E, 448",
        "F8_E4M3, 0x01, 0.001953125",
        "F8_E4M3, 0x08, 0.015625",
        "F8_E4M3, 0xC4, -3",
        "F8_E5M2, 0x3C, 1",
        "F8_E5M2, 0x7B, 57344",
        "F8_E5M2, 0x01, 0.0000152587890625",
        "F8_E5M2, 0xBD, -1.25",
        "BF16, 0x3F80, 1",
        "BF16, 0xC040, -3"
    })
    void smallFloatsMeanWhatTheirDefinitionsSay(DType type, String bits, double value) {
        assertThat(type.get(bits(type, Integer.decode(bits)), 0)).isEqualTo(value);
    }

    /** E4M3 has no infinity, so what it cannot hold is not a number. */
    @ParameterizedTest
    @CsvSource({
        "F8_E4M3, 448, 448",
        "F8_E4M3, 463.9, 448",
        "F8_E4M3, 465, NaN",
        "F8_E4M3, -Infinity, NaN",
        "F8_E4M3, 1e300, NaN",
        "F8_E5M2, 57344, 57344",
        "F8_E5M2, 61439, 57344",
        "F8_E5M2, 61440, Infinity",
        "BF16, 3.4e38, Infinity",
        "F16, -1e300, -Infinity",
        "F8_E4M3, NaN, NaN",
        "F8_E5M2, NaN, NaN"
    })
    void whatIsTooLargeIsNotFinite(DType type, double value, double expected) {
        ByteBuffer buffer = bits(type, 0);
        type.put(buffer, 0, value);
        assertThat(type.get(buffer, 0)).isEqualTo(Double.valueOf(expected));
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
        assertThat((double) SmallFloat.F16.decode(Integer.decode(bits)))
                .isCloseTo(value, org.assertj.core.data.Offset.offset(1e-16));
    }

    @Property
    void f16RoundsToTheNearestAndTiesToEven(
            @ForAll @DoubleRange(min = -70000, max = 70000) double value) {
        int rounded = SmallFloat.F16.encode(value);
        double distance = Math.abs(SmallFloat.F16.decode(rounded) - value);
        if (Double.isInfinite(distance)) {
            assertThat(Math.abs(value)).isGreaterThanOrEqualTo(65520);
            return;
        }
        for (int step : new int[] {-1, 1}) {
            float neighbour = SmallFloat.F16.decode(rounded + step);
            if (Float.isFinite(neighbour)) {
                double other = Math.abs(neighbour - value);
                assertThat(distance).isLessThanOrEqualTo(other);
                if (distance == other && neighbour != SmallFloat.F16.decode(rounded)) {
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
        "I16, 40000, 32767",
        "U16, 65534.5, 65534",
        "U32, 4294967296, 4294967295",
        "U64, 1.8446744073709550e19, 18446744073709549568",
        "U64, 2e19, 18446744073709551615",
        "I64, -1e300, -9223372036854775808",
        "BOOL, 0.5, 0",
        "BOOL, 0.51, 1"
    })
    void integersRoundHalfToEvenAndSaturate(DType type, double value, double expected) {
        ByteBuffer buffer = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        type.put(buffer, 0, value);
        assertThat(type.get(buffer, 0)).isEqualTo(expected);
    }
}
