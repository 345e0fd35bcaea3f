// SPDX-License-Identifier: Apache-2.0

/** Handwritten digits, and a small network that learns them. */
package io.tributary.testbed.digits;
