// SPDX-License-Identifier: Apache-2.0

/** A Flink cluster of processes on this machine, with its hosts and their services. */
package io.tributary.testbed.cluster;
