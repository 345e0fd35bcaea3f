// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkSender;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.message.Message;
import java.util.Optional;

/** Says why a chunk was rejected, and whether its update is. */
final class Rejections {

    private Rejections() {}

    /** A rejected chunk is not a rejected update: its trainer sends the update again. */
    private static boolean concernsUpdate(RejectReason reason) {
        return switch (reason) {
            case CHUNK_DUPLICATE, CHUNK_CORRUPT, CHUNK_OUT_OF_RANGE, CHUNK_UNKNOWN_ATTEMPT -> false;
            default -> true;
        };
    }

    /**
     * What the coordinator is told of a chunk that cannot be used.
     *
     * @param sender who it says it comes from; empty where that cannot be believed
     * @param header what stands beside it; empty where that cannot be read
     */
    static TrainerEvent.InputRejected of(
            Message chunk,
            Optional<ChunkSender> sender,
            Optional<ChunkHeader> header,
            RejectedException e) {
        String about =
                header.map(
                                h ->
                                        "update from trainer %s for round %s"
                                                .formatted(h.trainer(), h.id()))
                        .orElse("message from " + chunk.sender());
        return new TrainerEvent.InputRejected(
                new DeadLetter(
                        chunk.source(),
                        sender.map(ChunkSender::trainer).orElse(""),
                        header.map(ChunkHeader::round).orElse(0),
                        header.map(ChunkHeader::epoch).orElse(0L),
                        e.reason(),
                        about + ": " + e.getMessage()),
                sender.isPresent() && concernsUpdate(e.reason()),
                sender.map(ChunkSender::attempt).orElse(0L));
    }
}
