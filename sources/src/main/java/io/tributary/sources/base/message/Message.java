// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.message;

import java.util.Map;

/**
 * A message as a broker gave it.
 *
 * @param source where it came in, for dead letters
 * @param lane the part of the source that it came by; messages of one sender come by one lane
 * @param position where it lies in its lane; -1 where lanes cannot be read again
 * @param sender the trainer that the transport says it comes from
 * @param properties what stands beside the payload
 * @param payload its bytes
 * @param done to be run once when it has been dealt with
 */
public record Message(
        String source,
        int lane,
        long position,
        String sender,
        Map<String, String> properties,
        byte[] payload,
        Runnable done) {

    /** The same as a reminder of where it was, without what its sender wrote. */
    public Message reminder() {
        return new Message(source, lane, position, sender, Map.of(), new byte[0], done);
    }
}
