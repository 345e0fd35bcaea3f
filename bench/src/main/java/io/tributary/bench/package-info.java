// SPDX-License-Identifier: Apache-2.0

/** Benchmarks: each figure beside the limit measured in the same run. */
package io.tributary.bench;
