// SPDX-License-Identifier: Apache-2.0

/** Flame TAG topologies, checked and compiled into aggregation levels. */
package io.tributary.protocol.topology;
