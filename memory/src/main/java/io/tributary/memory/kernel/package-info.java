// SPDX-License-Identifier: Apache-2.0

/** The arithmetic of folding, in C where it is built and in Java where it is not. */
package io.tributary.memory.kernel;
