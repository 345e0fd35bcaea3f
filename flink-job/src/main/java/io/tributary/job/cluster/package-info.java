// SPDX-License-Identifier: Apache-2.0

/** Hands the job to a Flink cluster, and asks the cluster about it. */
package io.tributary.job.cluster;
