// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.zip.GZIPInputStream;

/** MNIST's IDX files, gzipped or not, as described on the data set's page. */
public final class IdxFiles {

    private static final int IMAGES_MAGIC = 0x803;
    private static final int LABELS_MAGIC = 0x801;

    private IdxFiles() {}

    /**
     * Reads a directory. With the training pair it is used to train and the other to test; with the
     * test pair alone its first four fifths are to train and the rest is to test.
     *
     * @throws RejectedException MALFORMED, naming the file
     */
    public static Digits.Split read(Path directory) {
        Digits held = pair(directory, "t10k").orElseThrow(() -> missing(directory));
        return pair(directory, "train")
                .map(train -> new Digits.Split(train, held))
                .orElseGet(
                        () -> {
                            int cut = held.size() * 4 / 5;
                            return new Digits.Split(
                                    held.range(0, cut), held.range(cut, held.size()));
                        });
    }

    private static RejectedException missing(Path directory) {
        return new RejectedException(
                RejectReason.MALFORMED,
                "%s: expected t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, with or without .gz"
                        .formatted(directory));
    }

    private static Optional<Digits> pair(Path directory, String name) {
        Optional<Path> images = find(directory, name + "-images-idx3-ubyte");
        Optional<Path> labels = find(directory, name + "-labels-idx1-ubyte");
        if (images.isEmpty() || labels.isEmpty()) {
            return Optional.empty();
        }
        ByteBuffer image = content(images.get(), IMAGES_MAGIC, 16);
        ByteBuffer label = content(labels.get(), LABELS_MAGIC, 8);
        int count = image.getInt(4);
        if (image.getInt(8) != 28 || image.getInt(12) != 28) {
            throw malformed(images.get(), "images of 28 × 28 are expected");
        }
        if (label.getInt(4) != count) {
            throw malformed(labels.get(), "there are %d images".formatted(count));
        }
        if ((long) count * Digits.PIXELS != image.remaining() || count != label.remaining()) {
            throw malformed(images.get(), "the file does not hold what its header says");
        }
        float[] pixels = new float[count * Digits.PIXELS];
        for (int i = 0; i < pixels.length; i++) {
            pixels[i] = (image.get() & 0xFF) / 255f;
        }
        int[] values = new int[count];
        for (int i = 0; i < count; i++) {
            values[i] = label.get();
            if (values[i] < 0 || values[i] >= Digits.CLASSES) {
                throw malformed(labels.get(), "label %d at %d".formatted(values[i], i));
            }
        }
        return Optional.of(new Digits(pixels, values));
    }

    private static Optional<Path> find(Path directory, String name) {
        return Optional.of(directory.resolve(name))
                .filter(Files::exists)
                .or(() -> Optional.of(directory.resolve(name + ".gz")).filter(Files::exists));
    }

    private static ByteBuffer content(Path file, int magic, int headerBytes) {
        try (InputStream raw = new BufferedInputStream(Files.newInputStream(file));
                InputStream in = file.toString().endsWith(".gz") ? new GZIPInputStream(raw) : raw) {
            ByteBuffer content = ByteBuffer.wrap(in.readAllBytes());
            if (content.remaining() < headerBytes || content.getInt(0) != magic) {
                throw malformed(file, "not an IDX file of the kind that its name says");
            }
            return content.position(headerBytes);
        } catch (IOException e) {
            throw malformed(file, "cannot be read: " + e.getMessage());
        }
    }

    private static RejectedException malformed(Path file, String text) {
        return new RejectedException(RejectReason.MALFORMED, file + ": " + text);
    }
}
