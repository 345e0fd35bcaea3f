// SPDX-License-Identifier: Apache-2.0

/** Updates and control messages from Kafka; plans, models and receipts to it. */
package io.tributary.sources.kafka;
