// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Trainers whose update turned out while it was being folded not to be what it was taken for. The
 * operator that finds one writes its trainer down and fails; the job goes back to a checkpoint that
 * does not hold the update, and the coordinator, when it starts again, does not take that trainer's
 * word. A trainer has one file, beside the models, since all task managers see those. It is on the
 * disk before the failure, and stays until somebody removes it. Not thread-safe.
 */
public final class Quarantine {

    private static final Logger LOG = LoggerFactory.getLogger(Quarantine.class);
    private static final String GROUP = "quarantine";

    private final ModelStore models;

    /** What a trainer has done. */
    public enum Breach {
        /** It promised finite values, and had others. */
        PROMISE,
        /** It changed an update after the job had read it. */
        CHANGE
    }

    /**
     * What a file says.
     *
     * @param trainer who
     * @param breach the worst that it has done
     */
    public record Entry(String trainer, Breach breach) {}

    public Quarantine(ModelStore models) {
        this.models = models;
    }

    /** Writes a trainer down. */
    public void put(String trainer, Breach breach) {
        try {
            if (breach == Breach.CHANGE || !models.notes(GROUP).containsKey(trainer)) {
                models.note(GROUP, trainer, Json.encode(new Entry(trainer, breach)));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Who is in it, and why. */
    public Map<String, Breach> read() {
        try {
            Map<String, Breach> breaches = new TreeMap<>();
            for (Map.Entry<String, byte[]> note : models.notes(GROUP).entrySet()) {
                try {
                    Entry entry = Json.decode(note.getValue(), Entry.class);
                    breaches.put(entry.trainer(), entry.breach());
                } catch (RejectedException e) {
                    LOG.warn(
                            "{}/{} beside the models is passed over: {}",
                            GROUP,
                            note.getKey(),
                            e.getMessage());
                }
            }
            return breaches;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
