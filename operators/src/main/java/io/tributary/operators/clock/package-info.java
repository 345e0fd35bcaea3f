// SPDX-License-Identifier: Apache-2.0

/** What operators know of time. */
package io.tributary.operators.clock;
