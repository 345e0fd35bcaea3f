// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

/** When models, and the plans that name them, leave. */
public enum Publish {
    /** When the checkpoint that holds them has completed: nobody hears of what a restore undoes. */
    COMMITTED,
    /**
     * At once. A restore may undo what was sent; the model that comes instead has a higher epoch,
     * and updates based on the one before are rejected.
     */
    IMMEDIATE
}
