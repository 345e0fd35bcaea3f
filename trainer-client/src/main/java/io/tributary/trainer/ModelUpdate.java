// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;

/**
 * An update that is filled in place: each tensor is a writable view of the safetensors file that is
 * sent. Not thread-safe.
 */
public final class ModelUpdate implements AutoCloseable {

    private final Path file;
    private final RoundPlan plan;
    private final SafetensorsHeader header;
    private final FileChannel channel;
    private final Map<String, Double> metrics = new HashMap<>();
    private long samples;

    private ModelUpdate(Path file, RoundPlan plan, SafetensorsHeader header, FileChannel channel) {
        this.file = file;
        this.plan = plan;
        this.header = header;
        this.channel = channel;
    }

    static ModelUpdate create(Path directory, RoundPlan plan, SafetensorsHeader header) {
        try {
            Path file =
                    Files.createTempFile(directory, "update-" + plan.id() + "-", ".safetensors");
            FileChannel channel =
                    FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
            channel.write(ByteBuffer.wrap(header.bytes()), 0);
            if (header.fileLength() > header.dataOffset()) {
                channel.write(ByteBuffer.allocate(1), header.fileLength() - 1);
            }
            return new ModelUpdate(file, plan, header, channel);
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "an update of %d bytes cannot be made in %s; is there room?"
                            .formatted(header.fileLength(), directory),
                    e);
        }
    }

    /**
     * A writable, little-endian view of a tensor's bytes, zero at first.
     *
     * @param name a tensor of less than 2 GiB
     */
    public ByteBuffer bytes(String name) {
        TensorInfo tensor = TrainingRound.find(header, name);
        try {
            return channel.map(
                            FileChannel.MapMode.READ_WRITE,
                            header.dataOffset() + tensor.begin(),
                            tensor.end() - tensor.begin())
                    .order(ByteOrder.LITTLE_ENDIAN);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The same for an F32 tensor, as floats in row-major order. */
    public FloatBuffer floats(String name) {
        return bytes(name).asFloatBuffer();
    }

    /** The number of training samples, the update's weight, ≥ 1. */
    public ModelUpdate samples(long count) {
        samples = count;
        return this;
    }

    /** Something measured in training, for example {@code loss}. */
    public ModelUpdate metric(String name, double value) {
        metrics.put(name, value);
        return this;
    }

    long samples() {
        return samples;
    }

    Map<String, Double> metrics() {
        return metrics;
    }

    RoundId id() {
        return plan.id();
    }

    UpdateKind kind() {
        return plan.kind();
    }

    PayloadRef payload() {
        return new PayloadRef(file.toString(), 0, header.fileLength(), 0);
    }

    /** Throws the file away; {@link TrainerClient#send} does it when it has a receipt. */
    @Override
    public void close() {
        try {
            channel.close();
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
