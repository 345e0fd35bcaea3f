// SPDX-License-Identifier: Apache-2.0

/** Networks in the kernel's maps, and the programs that compute them. */
package io.tributary.datapath.kernel;
