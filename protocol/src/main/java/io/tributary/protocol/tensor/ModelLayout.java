// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * A model as one flat vector: its tensors' elements in file order, cut into shards of a fixed
 * number of elements (the last one may be shorter). Immutable and thread-safe.
 */
public final class ModelLayout {

    private static final long UPDATE_HEADER_SLACK = 1 << 20;

    private final SafetensorsHeader header;
    private final int shardElements;
    private final UpdateTensors updates;

    /** For each tensor, whether no update has it. */
    private final boolean[] personal;

    /** The model's tensor sets. */
    private final List<String> sets;

    private final long[] firstElement;

    /** Of each shard, once somebody has asked. */
    private final AtomicReferenceArray<List<Segment>> segments;

    /**
     * @param header the model's tensors
     * @param shardElements elements of a shard, 1 to 2^24
     */
    public ModelLayout(SafetensorsHeader header, int shardElements) {
        this(header, shardElements, UpdateTensors.ALL);
    }

    /**
     * The same for updates that do not have all tensors.
     *
     * @param updates which they have
     */
    public ModelLayout(SafetensorsHeader header, int shardElements, UpdateTensors updates) {
        if (shardElements < 1 || shardElements > 1 << 24) {
            throw new IllegalArgumentException(
                    "a shard has 1 to 16777216 elements, not " + shardElements);
        }
        this.header = header;
        this.shardElements = shardElements;
        this.updates = updates;
        this.personal = new boolean[header.tensors().size()];
        this.sets = TensorSets.of(header);
        this.firstElement = new long[header.tensors().size() + 1];
        for (int i = 0; i < header.tensors().size(); i++) {
            TensorInfo tensor = header.tensors().get(i);
            firstElement[i + 1] = firstElement[i] + tensor.elements();
            personal[i] = updates.isPersonal(TensorSets.plain(tensor.name(), sets));
        }
        if (elements() == 0) {
            throw new RejectedException(
                    RejectReason.WRONG_SHAPE, "the model has no elements; give it a tensor");
        }
        if ((elements() + shardElements - 1) / shardElements > 1 << 20) {
            throw new IllegalArgumentException(
                    "%d elements in shards of %d make more than 1048576 shards; use larger shards"
                            .formatted(elements(), shardElements));
        }
        this.segments = new AtomicReferenceArray<>(shards());
    }

    /**
     * A run of elements of one tensor inside of a shard.
     *
     * @param tensor index into the header's tensors
     * @param from first element of the run within the tensor
     * @param count elements, ≥ 1
     * @param at where the run begins within the shard, in elements
     * @param fileAt where it begins in the shard's bytes in a file
     * @param sumAt where it begins in the shard's sums, in bytes
     */
    public record Segment(int tensor, long from, int count, int at, int fileAt, int sumAt) {}

    /** The model's tensors. */
    public SafetensorsHeader header() {
        return header;
    }

    /** Elements of the flat vector. */
    public long elements() {
        return firstElement[firstElement.length - 1];
    }

    /** Elements of every shard but the last. */
    public int shardElements() {
        return shardElements;
    }

    /** Number of shards, ≥ 1. */
    public int shards() {
        return (int) ((elements() + shardElements - 1) / shardElements);
    }

    /** Elements of shard {@code shard}. */
    public int shardLength(int shard) {
        return (int) Math.min(shardElements, elements() - (long) shard * shardElements);
    }

    /** The runs that make up a shard, in order. */
    public List<Segment> segments(int shard) {
        List<Segment> known = segments.get(shard);
        if (known == null) {
            known = cut(shard);
            segments.set(shard, known);
        }
        return known;
    }

    private List<Segment> cut(int shard) {
        long begin = (long) shard * shardElements;
        long end = begin + shardLength(shard);
        List<Segment> cut = new ArrayList<>();
        int fileAt = 0;
        int sumAt = 0;
        for (int t = tensorAt(begin); t < header.tensors().size() && firstElement[t] < end; t++) {
            long from = Math.max(begin, firstElement[t]);
            long to = Math.min(end, firstElement[t + 1]);
            if (to > from) {
                int count = (int) (to - from);
                cut.add(
                        new Segment(
                                t,
                                from - firstElement[t],
                                count,
                                (int) (from - begin),
                                fileAt,
                                sumAt));
                DType type = header.tensors().get(t).dtype();
                fileAt += count * type.bytes();
                sumAt += count * type.sumBytes();
            }
        }
        return List.copyOf(cut);
    }

    /** The element type of a run. */
    public DType type(Segment segment) {
        return header.tensors().get(segment.tensor()).dtype();
    }

    /** Whether each update has the tensor of a run. */
    public boolean inEach(Segment segment) {
        return !updates.partial() && !personal[segment.tensor()];
    }

    private int tensorAt(long element) {
        int low = 0;
        int high = header.tensors().size() - 1;
        while (low < high) {
            int middle = (low + high + 1) >>> 1;
            if (firstElement[middle] <= element) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        return low;
    }

    /** The longest JSON header that an update of this model may have, other metadata included. */
    public long maxUpdateHeaderBytes() {
        return Math.min(
                SafetensorsHeader.MAX_JSON_BYTES, 2 * header.dataOffset() + UPDATE_HEADER_SLACK);
    }

    /** The shortest file that can be an update of this model: its tensors alone. */
    public long minUpdateBytes() {
        return updates.partial() ? 0 : wholeUpdateBytes();
    }

    /** Bytes of all tensors that an update may have. */
    public long wholeUpdateBytes() {
        long bytes = header.fileLength() - header.dataOffset();
        for (int i = 0; i < personal.length; i++) {
            TensorInfo tensor = header.tensors().get(i);
            bytes -= personal[i] ? tensor.end() - tensor.begin() : 0;
        }
        return bytes;
    }

    /** The longest file that can be an update of this model. */
    public long maxUpdateBytes() {
        return header.fileLength() + maxUpdateHeaderBytes();
    }

    /** Where a shard's bytes begin in a file of this model, from the start of the file. */
    public long fileOffset(int shard) {
        Segment first = segments(shard).get(0);
        TensorInfo tensor = header.tensors().get(first.tensor());
        return header.dataOffset() + tensor.begin() + first.from() * tensor.dtype().bytes();
    }

    /** Bytes of a shard in a file of this model. */
    public int shardBytes(int shard) {
        Segment last = last(shard);
        return last.fileAt() + last.count() * type(last).bytes();
    }

    /** Bytes of a shard's sums. */
    public int sumBytes(int shard) {
        Segment last = last(shard);
        return last.sumAt() + last.count() * type(last).sumBytes();
    }

    private Segment last(int shard) {
        List<Segment> all = segments(shard);
        return all.get(all.size() - 1);
    }

    /**
     * Maps the model's tensors to those of an update, which may lie in another order.
     *
     * @return for each tensor of the model, the update's; empty where it has none
     * @throws RejectedException WRONG_SHAPE, naming the first tensor that differs
     */
    public List<Optional<TensorInfo>> match(SafetensorsHeader update) {
        List<Optional<TensorInfo>> matched = new ArrayList<>();
        for (int i = 0; i < personal.length; i++) {
            matched.add(match(i, update));
        }
        for (TensorInfo tensor : update.tensors()) {
            if (header.find(tensor.name()).isEmpty()) {
                throw wrong("tensor '%s' is not in the model; leave it out", tensor.name());
            }
        }
        if (matched.stream().allMatch(Optional::isEmpty)) {
            throw wrong("it has no tensor; a partial update has at least one of the model's");
        }
        return matched;
    }

    /**
     * Checks that an update may count: it matches, and has each of its tensors in all sets, since
     * what an algorithm does with one needs all of them.
     *
     * @throws RejectedException WRONG_SHAPE, naming the first tensor that differs
     */
    public void check(SafetensorsHeader update) {
        match(update);
        TensorSets.incomplete(header, sets, name -> update.find(name).isPresent())
                .ifPresent(
                        why -> {
                            throw wrong("%s", why);
                        });
    }

    private Optional<TensorInfo> match(int which, SafetensorsHeader update) {
        TensorInfo ours = header.tensors().get(which);
        Optional<TensorInfo> found = update.find(ours.name());
        if (found.isEmpty()) {
            if (!personal[which] && !updates.partial()) {
                throw wrong("tensor '%s' is missing", ours.name());
            }
            return found;
        }
        if (personal[which]) {
            throw wrong(
                    "tensor '%s' is personal (model.personal) and must not leave the trainer; leave it out",
                    ours.name());
        }
        TensorInfo tensor = found.get();
        if (!tensor.shape().equals(ours.shape())) {
            throw wrong(
                    "tensor '%s' has shape %s, the model has %s",
                    ours.name(), tensor.shape(), ours.shape());
        }
        if (tensor.dtype() != ours.dtype()) {
            throw wrong(
                    "tensor '%s' has element type %s, the model has %s",
                    ours.name(), tensor.dtype(), ours.dtype());
        }
        return found;
    }

    private static RejectedException wrong(String format, Object... args) {
        return new RejectedException(RejectReason.WRONG_SHAPE, format.formatted(args));
    }
}
