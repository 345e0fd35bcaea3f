// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

/** How long something is measured. */
enum Effort {
    QUICK,
    FULL;

    /** The number of one's choice. */
    int of(int quick, int full) {
        return this == QUICK ? quick : full;
    }
}
