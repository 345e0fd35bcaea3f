// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Tensor sets: tensors that a file has beside those of the model. The set {@code control} has a
 * tensor {@code control/NAME} for each floating tensor {@code NAME} of the model. Which sets there
 * are stands in the file's metadata. Stateless and thread-safe.
 */
public final class TensorSets {

    /** The key of a file's metadata: the names of its sets, as a JSON array. */
    public static final String KEY = "tributary.sets";

    private TensorSets() {}

    /** What the names of a set's tensors begin with. */
    public static String prefix(String set) {
        return set + "/";
    }

    /** A tensor's name without that of its set. */
    public static String plain(String tensor, List<String> sets) {
        return sets.stream()
                .map(TensorSets::prefix)
                .filter(tensor::startsWith)
                .map(prefix -> tensor.substring(prefix.length()))
                .findFirst()
                .orElse(tensor);
    }

    /**
     * Looks whether each tensor that is there is there in all sets: what an algorithm does with one
     * needs all of them.
     *
     * @param header the model's
     * @param sets its sets
     * @param there whether a tensor of it is there, by its name
     * @return the first that is missing, and what it goes with, for people
     */
    public static Optional<String> incomplete(
            SafetensorsHeader header, List<String> sets, Predicate<String> there) {
        for (TensorInfo tensor : header.tensors()) {
            String partner = plain(tensor.name(), sets);
            boolean has = there.test(tensor.name());
            if (has != there.test(partner)) {
                return Optional.of(
                        "tensor '%s' is missing; it goes with '%s', since the model has tensor sets"
                                .formatted(
                                        has ? partner : tensor.name(),
                                        has ? tensor.name() : partner));
            }
        }
        return Optional.empty();
    }

    /** The names of the sets that a file says it has. */
    public static List<String> of(SafetensorsHeader header) {
        try {
            JsonNode names =
                    Json.tree(
                            header.metadata()
                                    .getOrDefault(KEY, "[]")
                                    .getBytes(StandardCharsets.UTF_8));
            List<String> sets = new ArrayList<>();
            names.forEach(name -> sets.add(name.asText()));
            return sets;
        } catch (RejectedException e) {
            // Somebody else's metadata say nothing of sets.
            return List.of();
        }
    }

    /** The model's own tensors, in the order of their data. */
    public static List<TensorInfo> model(SafetensorsHeader header) {
        return without(header, of(header));
    }

    private static List<TensorInfo> without(SafetensorsHeader header, List<String> sets) {
        return header.tensors().stream()
                .filter(t -> sets.stream().noneMatch(set -> t.name().startsWith(prefix(set))))
                .toList();
    }

    /**
     * The header of the same model with these sets and no others.
     *
     * @return the same header where nothing is to be changed
     * @throws RejectedException WRONG_SHAPE where a tensor has the name of one of a set and is none
     */
    public static SafetensorsHeader with(SafetensorsHeader header, List<String> sets) {
        List<String> there = of(header);
        List<String> all = new ArrayList<>(there);
        all.addAll(sets);
        List<TensorInfo> tensors = new ArrayList<>(without(header, all));
        List<TensorInfo> model = List.copyOf(tensors);
        for (String set : sets) {
            model.stream()
                    .filter(t -> t.dtype().floating())
                    .map(t -> of(set, t, header))
                    .forEach(tensors::add);
        }
        for (String set : sets) {
            requireOnly(set, tensors, header);
        }
        if (there.equals(sets) && tensors.size() == header.tensors().size()) {
            return header;
        }
        Map<String, String> metadata = new LinkedHashMap<>(header.metadata());
        metadata.remove(KEY);
        if (!sets.isEmpty()) {
            metadata.put(KEY, new String(Json.encode(sets), StandardCharsets.UTF_8));
        }
        return SafetensorsHeader.create(tensors, metadata);
    }

    /** A tensor of the model's that has the name of one of a set would be left out. */
    private static void requireOnly(String set, List<TensorInfo> wanted, SafetensorsHeader header) {
        List<String> names = wanted.stream().map(TensorInfo::name).toList();
        for (TensorInfo tensor : header.tensors()) {
            if (tensor.name().startsWith(prefix(set)) && !names.contains(tensor.name())) {
                throw new RejectedException(
                        RejectReason.WRONG_SHAPE,
                        "tensor '%s' has a name of set '%s', but there is no floating tensor '%s'; rename it"
                                .formatted(
                                        tensor.name(),
                                        set,
                                        tensor.name().substring(prefix(set).length())));
            }
        }
    }

    private static TensorInfo of(String set, TensorInfo tensor, SafetensorsHeader header) {
        TensorInfo wanted = zeros(set, tensor);
        TensorInfo there = header.find(wanted.name()).orElse(wanted);
        if (!there.shape().equals(wanted.shape()) || !there.dtype().floating()) {
            throw new RejectedException(
                    RejectReason.WRONG_SHAPE,
                    "tensor '%s' of set '%s' is %s%s, expected floating numbers of shape %s, as tensor '%s' has it"
                            .formatted(
                                    there.name(),
                                    set,
                                    there.dtype(),
                                    there.shape(),
                                    wanted.shape(),
                                    tensor.name()));
        }
        return there;
    }

    /** What is summed up for many rounds needs more than the 8 or 16 bits of a weight. */
    private static TensorInfo zeros(String set, TensorInfo tensor) {
        DType type = tensor.dtype().bytes() < DType.F32.bytes() ? DType.F32 : tensor.dtype();
        return SafetensorsHeader.tensor(
                prefix(set) + tensor.name(),
                type,
                tensor.shape().stream().mapToLong(Long::longValue).toArray());
    }
}
