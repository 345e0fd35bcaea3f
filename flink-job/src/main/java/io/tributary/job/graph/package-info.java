// SPDX-License-Identifier: Apache-2.0

/** The job graph. */
package io.tributary.job.graph;
