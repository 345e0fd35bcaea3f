// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The file system that regions are on.
 *
 * @param type its type
 * @param totalBytes its size
 * @param usableBytes what is free of it
 * @param hugePages its mount option {@code huge}: without huge pages, "never", the first write to a
 *     region takes several times as long
 */
public record SharedMemory(String type, long totalBytes, long usableBytes, String hugePages) {

    private static final Path MOUNTS = Path.of("/proc/self/mountinfo");
    private static final Pattern HUGE = Pattern.compile("[, ]huge=([^, ]+)");

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
            return new SharedMemory(
                    store.type(), store.getTotalSpace(), store.getUsableSpace(), huge(there));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** As the file system with this directory's device number says; Linux leaves "never" out. */
    private static String huge(Path directory) throws IOException {
        long device = (Long) Files.getAttribute(directory, "unix:dev");
        long major = device >>> 8 & 0xfff | device >>> 32 & 0xfffff000L;
        long minor = device & 0xff | device >>> 12 & 0xffffff00L;
        String mounted = " %d:%d ".formatted(major, minor);
        try (Stream<String> mounts = Files.lines(MOUNTS, StandardCharsets.ISO_8859_1)) {
            return mounts.filter(mount -> mount.contains(mounted))
                    .flatMap(mount -> HUGE.matcher(mount).results())
                    .map(found -> found.group(1))
                    .findFirst()
                    .orElse("never");
        }
    }

    /** Whether it is large enough for more than toy models. */
    public boolean enough() {
        return totalBytes >= SMALL_BYTES;
    }

    /** Size, type and huge pages and, where it is small or has none, what to do. */
    public String description() {
        String size =
                "%d MB free of %d MB (%s, huge pages: %s)"
                        .formatted(usableBytes >> 20, totalBytes >> 20, type, hugePages);
        if (!enough()) {
            return size
                    + "; that is small: mount more (docker run --shm-size=4g), or choose another --dir";
        }
        return type.equals("tmpfs") && hugePages.equals("never")
                ? size + "; root makes new models faster by mounting it with huge=within_size"
                : size;
    }
}
