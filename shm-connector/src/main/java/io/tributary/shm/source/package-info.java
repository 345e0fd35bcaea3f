// SPDX-License-Identifier: Apache-2.0

/** The Flink source of colocated trainers: the directory is the queue, the mailbox its bell. */
package io.tributary.shm.source;
