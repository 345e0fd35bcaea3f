// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.message.Receipt;

/**
 * An answer to a trainer, and the transport by which it goes. Others do not get it: it may have a
 * token, which is its trainer's alone. An answer to a trainer that has left has none, and goes by
 * all transports.
 *
 * @param transport the transport's scheme; empty for all
 * @param receipt the answer
 */
public record OutboundReceipt(String transport, Receipt receipt) {}
