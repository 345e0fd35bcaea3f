// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.memory.region.JobDirectory;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.message.Message;
import io.tributary.sources.base.message.MessageDecoder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Hands chunks to the assembler. What was staged before a restore is claimed again, since its claim
 * may have been lost; the coordinator knows duplicates.
 */
public final class UpdateDecoder implements MessageDecoder {

    private static final Logger LOG = LoggerFactory.getLogger(UpdateDecoder.class);

    private final JobDirectory directory;
    private final ChunkAssembler assembler;
    private final Runnable mine;
    private final boolean manyHosts;
    private final List<Recovered> recovered = new ArrayList<>();

    private record Recovered(int lane, TrainerEvent event) {}

    /**
     * @param mine returns when the directory's contents are this job's
     * @param manyHosts whether lanes may have moved to another host, and left here what came by
     *     them
     */
    UpdateDecoder(
            JobDirectory directory, ChunkAssembler assembler, Runnable mine, boolean manyHosts) {
        this.mine = mine;
        this.manyHosts = manyHosts;
        this.directory = directory;
        this.assembler = assembler;
    }

    @Override
    public void begin(int lane, boolean fresh) {
        mine.run();
        if (fresh) {
            directory.discard(lane);
            directory.discardUnfinished(lane);
            return;
        }
        if (!manyHosts) {
            recover(directory.updates(lane), lane);
        } else if (recovered.isEmpty()) {
            recover(directory.updates(), lane);
            directory.discardOrphans();
        }
        // What was half staged, or is damaged, comes again.
        directory.discardUnfinished(lane);
    }

    private void recover(List<Path> updates, int lane) {
        for (Path file : updates) {
            try {
                JobDirectory.claim(file)
                        .map(claim -> new Recovered(lane, new TrainerEvent.UpdateStaged(claim)))
                        .ifPresent(recovered::add);
            } catch (RejectedException e) {
                LOG.warn("not recovered: {}", e.getMessage());
            }
        }
    }

    @Override
    public void accept(Message message, Consumer<TrainerEvent> out) throws IOException {
        assembler.accept(message, out);
    }

    @Override
    public void tick(LaneOutput out) throws IOException {
        recovered.forEach(r -> out.accept(r.lane(), r.event()));
        recovered.clear();
        assembler.tick(out);
    }

    @Override
    public OptionalLong neededFrom(int lane) {
        return assembler.neededFrom(lane);
    }

    @Override
    public void close() throws IOException {
        assembler.close();
    }
}
