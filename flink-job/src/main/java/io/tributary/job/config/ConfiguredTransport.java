// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.job.graph.JobTransport;

/**
 * A transport as {@code job.yaml} describes it.
 *
 * @param transport how the job speaks with trainers
 * @param foreign a client that must not be able to speak for the job
 */
public record ConfiguredTransport(JobTransport transport, ForeignClient foreign) {}
