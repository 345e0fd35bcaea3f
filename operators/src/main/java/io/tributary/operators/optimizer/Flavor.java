// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

/** Whose version of an algorithm it is, where papers and frameworks differ. */
public enum Flavor {
    PAPER,
    FLAME,
    FLOWER,
    NVFLARE
}
