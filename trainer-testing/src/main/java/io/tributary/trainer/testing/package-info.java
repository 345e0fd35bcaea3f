// SPDX-License-Identifier: Apache-2.0

/** A job without Flink, broker and agent, for unit tests of trainers. */
package io.tributary.trainer.testing;
