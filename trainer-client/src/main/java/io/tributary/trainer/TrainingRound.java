// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.message.Expected;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.TensorSets;
import io.tributary.protocol.tensor.UpdateTensors;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * A round that this trainer is asked to take part in, with the model to start from. The model's
 * views may be kept for as long as they are of use. Thread-safe.
 */
public final class TrainingRound {

    private static final int SHOWN_NAMES = 20;

    private final RoundPlan plan;
    private final TensorFile model;
    private final UpdateRegions updates;

    TrainingRound(RoundPlan plan, TensorFile model, UpdateRegions updates) {
        this.plan = plan;
        this.model = model;
        this.updates = updates;
    }

    /** Round and epoch. */
    public RoundId id() {
        return plan.id();
    }

    /** What the job asks for. */
    public UpdateKind kind() {
        return plan.kind();
    }

    /** What the job wants trainers to know: numbers, texts and booleans by name. */
    public Map<String, Object> config() {
        return plan.config();
    }

    /** The round that has made the model; 0 is the initial one. */
    public int modelRound() {
        return plan.modelRound();
    }

    /**
     * Means of what all trainers together have found out about the model, by name; empty where they
     * were not asked.
     */
    public Map<String, Double> measured() {
        return plan.measured();
    }

    /** What the job expects of an update, besides the model's tensors. */
    public Expected expected() {
        return plan.expects();
    }

    /** The model's own tensors, in the order of their data. */
    public List<TensorInfo> tensors() {
        return TensorSets.model(model.header());
    }

    /** The model's tensors, and {@code SET/NAME} for those of its sets. */
    public SafetensorsHeader header() {
        return model.header();
    }

    /**
     * A read-only, little-endian view of a tensor's bytes in the mapped model.
     *
     * @param name a tensor of at most 256 MiB
     */
    public ByteBuffer bytes(String name) {
        TensorInfo tensor = find(model.header(), name);
        return model.elements(tensor, 0, Math.toIntExact(tensor.elements()));
    }

    /** The same for an F32 tensor, as floats in row-major order. */
    public FloatBuffer floats(String name) {
        return bytes(name).asFloatBuffer();
    }

    /**
     * Begins an update with the tensors of {@link #header}, to be filled in place, but for the
     * personal ones. One that was begun before and not sent is given up.
     *
     * @throws TrainerException when there is no room for it
     */
    public ModelUpdate newUpdate() {
        return newUpdate(tensor -> true);
    }

    /**
     * The same with some of the tensors, where the job takes partial updates.
     *
     * @param names with {@code SET/NAME} for a tensor of a set
     * @throws IllegalArgumentException where it takes none, or there is no such tensor
     */
    public ModelUpdate newUpdate(Set<String> names) {
        if (!plan.expects().partial()) {
            throw new IllegalArgumentException(
                    "the job takes no partial updates (model.partial-updates); send all tensors");
        }
        names.forEach(name -> find(model.header(), name));
        TensorSets.incomplete(model.header(), TensorSets.of(model.header()), names::contains)
                .ifPresent(
                        why -> {
                            throw new IllegalArgumentException(why);
                        });
        return newUpdate(tensor -> names.contains(tensor.name()));
    }

    private ModelUpdate newUpdate(Predicate<TensorInfo> wanted) {
        List<String> sets = TensorSets.of(model.header());
        UpdateTensors tensors = plan.expects().tensors();
        return new ModelUpdate(
                updates,
                plan,
                model.header()
                        .only(
                                wanted.and(
                                        tensor ->
                                                !tensors.isPersonal(
                                                        TensorSets.plain(tensor.name(), sets)))),
                model);
    }

    static TensorInfo find(SafetensorsHeader header, String name) {
        return header.find(name)
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "the model has no tensor '%s', it has %s"
                                                .formatted(name, shown(header))));
    }

    private static String shown(SafetensorsHeader header) {
        List<String> names =
                header.tensors().stream().limit(SHOWN_NAMES).map(TensorInfo::name).toList();
        int more = header.tensors().size() - names.size();
        return more == 0 ? names.toString() : "%s and %d more".formatted(names, more);
    }
}
