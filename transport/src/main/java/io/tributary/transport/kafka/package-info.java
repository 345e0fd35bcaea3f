// SPDX-License-Identifier: Apache-2.0

/** Kafka, as trainers and jobs both use it: topics, their settings, connections, headers. */
package io.tributary.transport.kafka;
