// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

/**
 * A run of float32 elements that become those of a model, in the memory of their sums.
 *
 * @param sum where the sums are, of float64
 * @param at where the first is in it, in bytes
 * @param weight what each is divided by, &gt; 0
 * @param base a model's elements; null where there are none
 * @param baseAt where the first of them is, in bytes
 * @param to where the first new element goes in the sum's memory, in bytes, ≤ {@code at}
 * @param count number of elements
 */
public record ModelRun(
        Memory sum, long at, double weight, Memory base, long baseAt, long to, int count) {

    long sumAddress() {
        return sum.address(at);
    }

    /** 0 where there is no base. */
    long baseAddress() {
        return base == null ? 0 : base.address(baseAt);
    }

    long toAddress() {
        return sum.address(to);
    }
}
