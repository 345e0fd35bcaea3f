// SPDX-License-Identifier: Apache-2.0

/** Who is at the other end of a connection on this host. */
package io.tributary.memory.peer;
