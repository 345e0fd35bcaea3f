// SPDX-License-Identifier: Apache-2.0

/** Processes that this one starts: brokers, Flink's, trainers. */
package io.tributary.testbed.process;
