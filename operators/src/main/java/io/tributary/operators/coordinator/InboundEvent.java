// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.message.TrainerEvent;

/**
 * What a source has handed on, and the transport by which it came: a job may have several, and an
 * answer goes back by the one by which its trainer speaks.
 *
 * @param transport the transport's scheme; empty where nobody can be answered
 * @param event what has come
 */
public record InboundEvent(String transport, TrainerEvent event) {}
