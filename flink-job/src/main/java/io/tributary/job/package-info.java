// SPDX-License-Identifier: Apache-2.0

/** The job as Flink starts it. */
package io.tributary.job;
