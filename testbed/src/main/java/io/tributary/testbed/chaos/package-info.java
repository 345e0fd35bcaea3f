// SPDX-License-Identifier: Apache-2.0

/**
 * Kills processes of a real cluster at random, and proves that no update was lost or counted twice.
 */
package io.tributary.testbed.chaos;
