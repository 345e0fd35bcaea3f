// SPDX-License-Identifier: Apache-2.0

/** Flink's own processes on this machine, and the way to them. */
package io.tributary.job.cluster;
