// SPDX-License-Identifier: Apache-2.0

/** Endpoints on one host that ring each other's bell, by descriptors of 64 bytes. */
package io.tributary.memory.mailbox;
