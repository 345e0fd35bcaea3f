// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.message.Receipt;

/**
 * An answer to a trainer, and the transport by which it goes. Others do not get it: it may hold
 * what only its trainer is to know.
 *
 * @param transport the transport's scheme
 * @param receipt the answer
 */
public record OutboundReceipt(String transport, Receipt receipt) {}
