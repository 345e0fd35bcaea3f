// SPDX-License-Identifier: Apache-2.0

/** Payloads cut into checksummed chunks for transports that carry messages. */
package io.tributary.protocol.chunk;
