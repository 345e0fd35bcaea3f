// SPDX-License-Identifier: Apache-2.0

/** Survives memory whose file is cut short while it is read. */
package io.tributary.memory.guard;
