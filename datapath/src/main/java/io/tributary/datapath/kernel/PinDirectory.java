// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.Native;
import io.tributary.memory.os.LibC;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.node.bpf.BpfObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/**
 * A directory of a BPF file system in which all is pinned that belongs together, for one process at
 * a time. Things come and go by a rename, so there is all of it or nothing. Not thread-safe.
 */
final class PinDirectory implements AutoCloseable {

    static final String SETTING = "setting";

    private static final List<String> NAMES =
            List.of(
                    PolicyProgram.NETWORKS,
                    PolicyProgram.CHOICES,
                    PolicyProgram.PROBE,
                    PolicyProgram.SAMPLES,
                    PolicyProgram.CONGESTION_CONTROL,
                    SETTING);

    private static final int OTHERS_WRITE = 0022;

    private final Path directory;

    /** What is being made, or taken away. */
    private final Path part;

    private final int lock;

    private PinDirectory(Path directory, int lock) {
        this.directory = directory;
        this.part = directory.resolveSibling(directory.getFileName() + "-part");
        this.lock = lock;
    }

    /** What is to be pinned. */
    @FunctionalInterface
    interface Filling {
        void into(Path directory) throws IOException;
    }

    /**
     * Waits until no other process changes what is pinned there.
     *
     * @throws IllegalArgumentException when that is no place for it
     */
    static PinDirectory lock(Path directory) throws IOException {
        Path parent = directory.toAbsolutePath().getParent();
        boolean bpffs =
                Files.isDirectory(parent) && Files.getFileStore(parent).type().equals("bpf");
        if (!bpffs) {
            throw new IllegalArgumentException(
                    "%s is no BPF file system; let root mount one: mount -t bpf -o mode=0700 bpf %s"
                            .formatted(parent, parent));
        }
        if (((int) Files.getAttribute(parent, "unix:mode") & OTHERS_WRITE) != 0) {
            throw new IllegalArgumentException(
                    "other users may write to %s, and could take what is pinned there; let root close it: chmod 0700 %s"
                            .formatted(parent, parent));
        }
        int fd = LibC.INSTANCE.open(parent.toString(), LibC.O_DIRECTORY | LibC.O_CLOEXEC, 0);
        BpfObject.check(
                "%s cannot be opened".formatted(parent), fd < 0 ? -Native.getLastError() : fd);
        if (LibC.INSTANCE.flock(fd, LibC.LOCK_EX) != 0) {
            int error = Native.getLastError();
            LibC.INSTANCE.close(fd);
            throw BpfObject.error("%s cannot be locked".formatted(parent), error);
        }
        return new PinDirectory(directory, fd);
    }

    Path path() {
        return directory;
    }

    /**
     * Pins things.
     *
     * @throws IllegalArgumentException when something is there already
     */
    void fill(Filling filling) throws IOException {
        delete(part);
        if (Files.exists(directory, LinkOption.NOFOLLOW_LINKS)) {
            throw new IllegalArgumentException(
                    "%s is there already; unload it first".formatted(directory));
        }
        Files.createDirectory(part);
        try {
            filling.into(part);
            Files.move(part, directory, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            delete(part);
        }
    }

    /** Takes all of it away, and what a process that was killed has left. */
    void empty() throws IOException {
        boolean left = Files.exists(part, LinkOption.NOFOLLOW_LINKS);
        delete(part);
        if (!left) {
            requireLoaded(directory);
        }
        if (Files.exists(directory, LinkOption.NOFOLLOW_LINKS)) {
            requireOurs(directory);
            Files.move(directory, part, StandardCopyOption.ATOMIC_MOVE);
            delete(part);
        }
    }

    static void requireLoaded(Path directory) {
        if (!Files.isDirectory(directory, LinkOption.NOFOLLOW_LINKS)) {
            throw new IllegalArgumentException(
                    "nothing is loaded at %s, or it cannot be seen by this user; use 'datapath load'"
                            .formatted(directory));
        }
    }

    /** Somebody else's pins are not taken away. */
    private static void requireOurs(Path directory) throws IOException {
        boolean real = Files.isDirectory(directory, LinkOption.NOFOLLOW_LINKS);
        Object owner = Files.getAttribute(directory, "unix:uid", LinkOption.NOFOLLOW_LINKS);
        if (!real || !owner.equals(TrustedDirectory.user())) {
            throw new IllegalArgumentException(
                    "%s is no directory of this user".formatted(directory));
        }
        try (var pins = Files.list(directory)) {
            for (Path pin : pins.toList()) {
                if (!NAMES.contains(pin.getFileName().toString())) {
                    throw new IllegalArgumentException(
                            "%s has '%s', which Tributary has not pinned; give another --dir"
                                    .formatted(directory, pin.getFileName()));
                }
            }
        }
    }

    private static void delete(Path directory) throws IOException {
        if (!Files.exists(directory, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        requireOurs(directory);
        // First, since its pin is what it can be found by.
        unregister(directory);
        for (String name : NAMES) {
            Files.deleteIfExists(directory.resolve(name));
        }
        Files.delete(directory);
    }

    /** Connections that use it go on with it; others cannot choose it any more. */
    private static void unregister(Path directory) throws IOException {
        if (!Files.exists(directory.resolve(PolicyProgram.CONGESTION_CONTROL))) {
            return;
        }
        try (Pins pins = new Pins(directory)) {
            int fd = pins.get(PolicyProgram.CONGESTION_CONTROL);
            int result = pins.bpf().bpf_map_delete_elem(fd, BpfObject.number(0));
            // It was pinned, and the process was killed before it was registered.
            if (result != -LibC.ENOENT) {
                BpfObject.check("the congestion control cannot be taken away", result);
            }
        }
    }

    @Override
    public void close() {
        LibC.INSTANCE.close(lock);
    }
}
