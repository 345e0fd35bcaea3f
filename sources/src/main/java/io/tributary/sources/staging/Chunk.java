// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.staging;

import java.util.Map;

/**
 * A part of an update as it came in.
 *
 * @param source where it came in, for dead letters
 * @param sender the trainer that the transport says it comes from; the header must agree
 * @param properties its header
 * @param payload its bytes
 * @param done to be run once when it has been dealt with
 */
public record Chunk(
        String source,
        String sender,
        Map<String, String> properties,
        byte[] payload,
        Runnable done) {}
