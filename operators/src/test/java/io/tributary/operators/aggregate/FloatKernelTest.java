// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.aggregate.FloatKernel.Weighted;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class FloatKernelTest {

    /**
     * Vectors at equal distances, at any, interleaved: whatever the addresses, the sum is right.
     */
    @Property(tries = 200)
    void theSumDoesNotDependOnWhereVectorsLie(
            @ForAll @IntRange(min = 1, max = 20) int vectors,
            @ForAll @IntRange(min = 1, max = 700) int count,
            @ForAll @IntRange(min = 0, max = 3) int irregular,
            @ForAll long seed) {
        Random random = new Random(seed);
        ByteBuffer memory = direct((count + 8) * (vectors + 2) * 2);
        List<Weighted> all = new ArrayList<>();
        double[] expected = new double[count];
        int at = 0;
        ByteBuffer sum = direct(count);
        for (int i = 0; i < count; i++) {
            float before = random.nextFloat();
            sum.putFloat(4 * i, before);
            expected[i] = before;
        }
        double magnitude = 1;
        for (int v = 0; v < vectors; v++) {
            float weight = 1 + random.nextInt(1000);
            magnitude += weight;
            for (int i = 0; i < count; i++) {
                float value = random.nextFloat() - 0.5f;
                memory.putFloat(4 * (at + i), value);
                expected[i] += (double) weight * value;
            }
            all.add(new Weighted(FloatKernel.address(memory) + 4L * at, weight));
            at += count + (irregular == 0 ? 1 : random.nextInt(irregular + 1));
        }
        Collections.shuffle(all, random);

        FloatKernel.fold(all.toArray(Weighted[]::new), FloatKernel.address(sum), count);

        for (int i = 0; i < count; i++) {
            assertThat(Math.abs(sum.getFloat(4 * i) - expected[i])).isLessThan(1e-6 * magnitude);
        }
    }

    private static ByteBuffer direct(int floats) {
        return ByteBuffer.allocateDirect(4 * floats).order(ByteOrder.LITTLE_ENDIAN);
    }
}
