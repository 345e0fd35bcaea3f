// SPDX-License-Identifier: Apache-2.0

/** Neural networks of floats, and of the integers that the kernel computes with. */
package io.tributary.datapath.network;
