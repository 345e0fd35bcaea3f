// SPDX-License-Identifier: Apache-2.0

/** How the job answers colocated trainers: files in its directory, and a ring. */
package io.tributary.shm.sink;
