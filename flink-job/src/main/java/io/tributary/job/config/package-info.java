// SPDX-License-Identifier: Apache-2.0

/** What an operator says of a job, in {@code job.yaml}. */
package io.tributary.job.config;
