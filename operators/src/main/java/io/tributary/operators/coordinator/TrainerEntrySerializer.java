// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.operators.coordinator.TrainerEntry.Past;
import io.tributary.operators.types.FlowSerializer;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.Claim;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** A trainer in some sixty bytes: numbers take as many as they need, seven bits in each. */
final class TrainerEntrySerializer extends FlowSerializer<TrainerEntry> {

    static final TrainerEntrySerializer INSTANCE = new TrainerEntrySerializer();

    private static final long serialVersionUID = 1L;

    private static final int PRESENT = 1;
    private static final int COUNTED = 2;
    private static final int CLAIM = 4;

    private TrainerEntrySerializer() {}

    @Override
    public void serialize(TrainerEntry entry, DataOutputView out) throws IOException {
        Optional<Counted> counted = entry.counted();
        out.writeByte(
                (entry.present() ? PRESENT : 0)
                        | (counted.isPresent() ? COUNTED : 0)
                        | (counted.flatMap(Counted::claim).isPresent() ? CLAIM : 0));
        writeText(entry.instance(), out);
        writeText(entry.group(), out);
        writeText(entry.transport(), out);
        writeNumber(entry.since(), out);
        writeNumber(entry.left(), out);
        writeNumber(entry.settled(), out);
        if (counted.isPresent()) {
            write(counted.get(), out);
        }
        writeNumber(entry.past().size(), out);
        for (Past past : entry.past()) {
            writeNumber(past.opening(), out);
            out.writeInt(past.crc32c());
        }
    }

    private static void write(Counted counted, DataOutputView out) throws IOException {
        writeNumber(counted.opening(), out);
        writeNumber(counted.number(), out);
        out.writeInt(counted.crc32c());
        writeNumber(counted.samples(), out);
        writeText(counted.leaf(), out);
        writeText(counted.node(), out);
        out.writeLong(counted.payload());
        if (counted.claim().isPresent()) {
            writeBytes(Json.encode(counted.claim().get()), out);
        }
    }

    @Override
    public TrainerEntry deserialize(DataInputView in) throws IOException {
        int flags = in.readUnsignedByte();
        String instance = readText(in);
        String group = readText(in);
        String transport = readText(in);
        int since = (int) readNumber(in);
        int left = (int) readNumber(in);
        int settled = (int) readNumber(in);
        Optional<Counted> counted =
                (flags & COUNTED) == 0
                        ? Optional.empty()
                        : Optional.of(readCounted((flags & CLAIM) != 0, in));
        List<Past> past = new ArrayList<>();
        for (long more = readNumber(in); more > 0; more--) {
            past.add(new Past((int) readNumber(in), in.readInt()));
        }
        return new TrainerEntry(
                (flags & PRESENT) != 0,
                instance,
                group,
                transport,
                since,
                left,
                settled,
                counted,
                past);
    }

    private static Counted readCounted(boolean claim, DataInputView in) throws IOException {
        return new Counted(
                (int) readNumber(in),
                (int) readNumber(in),
                in.readInt(),
                readNumber(in),
                readText(in),
                readText(in),
                in.readLong(),
                claim ? Optional.of(Json.decode(readBytes(in), Claim.class)) : Optional.empty());
    }

    private static void writeNumber(long number, DataOutputView out) throws IOException {
        long rest = number;
        while ((rest & ~0x7FL) != 0) {
            out.writeByte((int) (rest & 0x7F | 0x80));
            rest >>>= 7;
        }
        out.writeByte((int) rest);
    }

    private static long readNumber(DataInputView in) throws IOException {
        long number = 0;
        int shift = 0;
        int next = in.readUnsignedByte();
        while ((next & 0x80) != 0) {
            number |= (next & 0x7FL) << shift;
            shift += 7;
            next = in.readUnsignedByte();
        }
        return number | (long) next << shift;
    }

    private static void writeText(String text, DataOutputView out) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        writeNumber(bytes.length, out);
        out.write(bytes);
    }

    private static String readText(DataInputView in) throws IOException {
        byte[] bytes = new byte[(int) readNumber(in)];
        in.readFully(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    @Override
    public TypeSerializerSnapshot<TrainerEntry> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Version 1 of the format. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<TrainerEntry> {
        public Snapshot() {
            super(() -> INSTANCE);
        }
    }
}
