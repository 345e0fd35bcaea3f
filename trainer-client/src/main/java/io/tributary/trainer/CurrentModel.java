// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.region.TensorFile;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The model that a trainer works with, and those before it that somebody may still look at. */
final class CurrentModel {

    /** Models that may still be looked at before the garbage collector is asked to look too. */
    private static final int MAX_HELD = 4;

    private Optional<ModelVersion> version = Optional.empty();
    private Optional<TensorFile> file = Optional.empty();
    private final List<WeakReference<TensorFile>> held = new ArrayList<>();

    /**
     * Takes on a version, and discards the one before. The views of older ones stay valid: they are
     * unmapped when nobody can look at them any more.
     */
    TensorFile open(ModelVersion next) {
        if (version.filter(next::equals).isEmpty()) {
            TensorFile opened = next.open();
            version.ifPresent(ModelVersion::discard);
            version = Optional.of(next);
            file = Optional.of(opened);
            held.removeIf(before -> before.get() == null);
            held.add(new WeakReference<>(opened));
            if (held.size() > MAX_HELD) {
                UpdateRegions.collectGarbage();
            }
        }
        return file.orElseThrow();
    }
}
