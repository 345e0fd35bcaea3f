// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.FoldPartial;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.aggregate.AggregatorInput.RoundEnd;
import io.tributary.operators.types.FlowSerializer;
import io.tributary.protocol.message.RoundId;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** A tag byte, node, shard and round, then what the kind of input has. */
final class AggregatorInputSerializer extends FlowSerializer<AggregatorInput> {

    static final AggregatorInputSerializer INSTANCE = new AggregatorInputSerializer();

    private static final long serialVersionUID = 1L;
    private static final int FOLD_UPDATE = 1;
    private static final int FOLD_PARTIAL = 2;
    private static final int CLOSE_NODE = 3;
    private static final int DROP_ROUND = 4;

    /** Since then a close says how many updates and trainers there were. */
    private static final int CLOSE_NODE_COUNTED = 5;

    /** Since then it says totals as well. */
    private static final int CLOSE_NODE_TOTALS = 6;

    @Override
    public void serialize(AggregatorInput input, DataOutputView out) throws IOException {
        if (input instanceof FoldUpdate fold) {
            begin(FOLD_UPDATE, input, out);
            writePayload(fold.payload(), out);
            out.writeDouble(fold.weight());
            out.writeLong(fold.samples());
            out.writeUTF(fold.trainer());
            out.writeBoolean(fold.scanned());
        } else if (input instanceof FoldPartial fold) {
            begin(FOLD_PARTIAL, input, out);
            fold.weights().write(out);
            writeSum(fold.sum(), out);
        } else if (input instanceof CloseNode close) {
            begin(CLOSE_NODE_TOTALS, input, out);
            out.writeUTF(close.parent());
            out.writeInt(close.contributions());
            writeRound(close.end().model(), out);
            writeRound(close.end().base(), out);
            out.writeLong(close.end().lastUpdateMicros());
            out.writeInt(close.end().counted());
            out.writeInt(close.end().trainers());
            writeTotals(close.end().totals(), out);
        } else {
            begin(DROP_ROUND, input, out);
        }
    }

    private static void writeSum(PartialSum sum, DataOutputView out) throws IOException {
        out.writeBoolean(sum instanceof PartialSum.InRegion);
        if (sum instanceof PartialSum.InRegion region) {
            writePayload(region.payload(), out);
        } else {
            writeBytes(((PartialSum.Inline) sum).sum(), out);
        }
    }

    private static PartialSum readSum(DataInputView in) throws IOException {
        return in.readBoolean()
                ? new PartialSum.InRegion(readPayload(in))
                : new PartialSum.Inline(readBytes(in));
    }

    private static void writeTotals(Map<String, Double> totals, DataOutputView out)
            throws IOException {
        out.writeInt(totals.size());
        for (Map.Entry<String, Double> total : totals.entrySet()) {
            out.writeUTF(total.getKey());
            out.writeDouble(total.getValue());
        }
    }

    private static Map<String, Double> readTotals(DataInputView in) throws IOException {
        Map<String, Double> totals = new HashMap<>();
        for (int count = in.readInt(); count > 0; count--) {
            totals.put(in.readUTF(), in.readDouble());
        }
        return totals;
    }

    private static RoundEnd readEnd(int tag, DataInputView in) throws IOException {
        RoundId model = readRound(in);
        RoundId base = readRound(in);
        long lastUpdateMicros = in.readLong();
        // A checkpoint of before does not say; the algorithms of then do not ask.
        boolean counted = tag != CLOSE_NODE;
        return new RoundEnd(
                model,
                base,
                counted ? in.readInt() : 1,
                counted ? in.readInt() : 1,
                tag == CLOSE_NODE_TOTALS ? readTotals(in) : Map.of(),
                lastUpdateMicros);
    }

    private static void begin(int tag, AggregatorInput input, DataOutputView out)
            throws IOException {
        out.writeByte(tag);
        out.writeUTF(input.node());
        out.writeInt(input.shard());
        writeRound(input.round(), out);
    }

    @Override
    public AggregatorInput deserialize(DataInputView in) throws IOException {
        int tag = in.readByte();
        String node = in.readUTF();
        int shard = in.readInt();
        RoundId round = readRound(in);
        return switch (tag) {
            case FOLD_UPDATE ->
                    new FoldUpdate(
                            node,
                            shard,
                            round,
                            readPayload(in),
                            in.readDouble(),
                            in.readLong(),
                            in.readUTF(),
                            in.readBoolean());
            case FOLD_PARTIAL ->
                    new FoldPartial(node, shard, round, RunWeights.read(in), readSum(in));
            case CLOSE_NODE, CLOSE_NODE_COUNTED, CLOSE_NODE_TOTALS ->
                    new CloseNode(node, shard, round, in.readUTF(), in.readInt(), readEnd(tag, in));
            case DROP_ROUND -> new DropRound(node, shard, round);
            default -> throw new IOException("aggregator input with tag " + tag);
        };
    }

    @Override
    public TypeSerializerSnapshot<AggregatorInput> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Never in state by itself, so there is no earlier version to read. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<AggregatorInput> {
        public Snapshot() {
            super(() -> INSTANCE);
        }
    }
}
