// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

/**
 * When something happens.
 *
 * @param nanos on a clock that only goes forward, ns
 * @param micros on the clock that people read, µs since 1970; nothing is decided by it
 */
record Moment(long nanos, long micros) {}
