// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Sizes for which the kernel's program is compiled, smallest first; bpf/policy.h has the same. A
 * network may be smaller than its shape.
 */
public enum Shape {
    NARROW(2, 8, 16, 8),
    MEDIUM(1, 16, 32, 16),
    WIDE(0, 32, 32, 16);

    /** Outputs of all of them. */
    public static final int OUTPUTS = 2;

    private final int number;
    private final List<Integer> most;

    Shape(int number, int inputs, int first, int second) {
        this.number = number;
        this.most = List.of(inputs, first, second, OUTPUTS);
    }

    /** The program's number for it. */
    public int number() {
        return number;
    }

    /**
     * The smallest that holds a network.
     *
     * @param sizes inputs, both hidden layers, outputs
     * @throws UnsupportedNetworkException when none does
     */
    static Shape of(List<Integer> sizes) {
        return Arrays.stream(values())
                .filter(shape -> shape.holds(sizes))
                .findFirst()
                .orElseThrow(
                        () ->
                                new UnsupportedNetworkException(
                                        "the network is %s, the largest that the kernel computes is %s; make its layers smaller"
                                                .formatted(text(sizes), text(WIDE.most))));
    }

    private boolean holds(List<Integer> sizes) {
        for (int i = 0; i < most.size(); i++) {
            if (sizes.get(i) > most.get(i)) {
                return false;
            }
        }
        return true;
    }

    /** The sizes of the largest network of it. */
    public String sizes() {
        return text(most);
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }

    static String text(List<Integer> sizes) {
        return sizes.stream().map(Object::toString).collect(Collectors.joining("→"));
    }
}
