// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The file system that regions are on.
 *
 * @param type its type
 * @param totalBytes its size
 * @param usableBytes what is free of it
 */
public record SharedMemory(String type, long totalBytes, long usableBytes) {

    /** Docker gives containers 64 MB unless told otherwise, which holds no round of real models. */
    private static final long SMALL_BYTES = 256 << 20;

    /** The file system of a directory, which need not exist yet. */
    public static SharedMemory of(Path directory) {
        Path there = directory.toAbsolutePath();
        while (!Files.exists(there)) {
            there = there.getParent();
        }
        try {
            FileStore store = Files.getFileStore(there);
            return new SharedMemory(store.type(), store.getTotalSpace(), store.getUsableSpace());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Whether it is large enough for more than toy models. */
    public boolean enough() {
        return totalBytes >= SMALL_BYTES;
    }

    /** Size and type and, where it is small, what to do. */
    public String description() {
        String size =
                "%d MB free of %d MB (%s)".formatted(usableBytes >> 20, totalBytes >> 20, type);
        return enough()
                ? size
                : size
                        + "; that is small: mount more (docker run --shm-size=4g), or choose another --dir";
    }
}
