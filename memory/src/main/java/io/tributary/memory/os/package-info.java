// SPDX-License-Identifier: Apache-2.0

/** What is needed of the kernel that Java has no word for. Linux on x86-64. */
package io.tributary.memory.os;
