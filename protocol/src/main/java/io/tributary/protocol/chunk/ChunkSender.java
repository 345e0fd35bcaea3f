// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.chunk;

import io.tributary.protocol.message.Names;
import java.util.Map;

/**
 * Who says that it sends a chunk. Read before all else that stands beside a chunk: what is wrong
 * with the rest is then judged under a name, and a name that is wrong costs nothing more.
 *
 * @param job the job
 * @param trainer the trainer
 * @param instance its client object
 * @param token what the job gave it when it joined
 * @param attempt the sending; 0 where that cannot be read
 */
public record ChunkSender(String job, String trainer, String instance, String token, long attempt) {

    public ChunkSender {
        Names.check("job", job);
        Names.check("trainer", trainer);
        Names.check("instance", instance);
    }

    /**
     * Reads string properties.
     *
     * @throws io.tributary.protocol.RejectedException MALFORMED, naming the property
     */
    public static ChunkSender fromProperties(Map<String, String> p) {
        PropertyReader read = new PropertyReader(p);
        return new ChunkSender(
                read.text("job"),
                read.text("trainer"),
                read.text("instance"),
                read.text("token"),
                attempt(p));
    }

    private static long attempt(Map<String, String> p) {
        String attempt = p.getOrDefault("attempt", "");
        return attempt.matches("[0-9]{1,18}") ? Long.parseLong(attempt) : 0;
    }
}
