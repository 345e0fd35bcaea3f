// SPDX-License-Identifier: Apache-2.0

/** What every part of Tributary agrees on: why an input is rejected, and how values become JSON. */
package io.tributary.protocol;
