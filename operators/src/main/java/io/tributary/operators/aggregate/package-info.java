// SPDX-License-Identifier: Apache-2.0

/** The aggregation tree: folds updates and partial sums, and divides at the top. */
package io.tributary.operators.aggregate;
