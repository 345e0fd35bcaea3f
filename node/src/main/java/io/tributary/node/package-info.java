// SPDX-License-Identifier: Apache-2.0

/** Nodes that know each other, and regions that can be read from any of them. No Flink here. */
package io.tributary.node;
