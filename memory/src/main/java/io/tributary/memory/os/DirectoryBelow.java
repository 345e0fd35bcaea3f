// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.os;

import com.sun.jna.Native;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A directory below another one, held by its descriptor. It is opened name by name, and no name may
 * be a link, so it lies where it seems to; and it stays the same when somebody changes the names on
 * the way. For one thread; to be closed.
 */
public final class DirectoryBelow implements AutoCloseable {

    private static final int FLAGS =
            LibC.O_PATH | LibC.O_DIRECTORY | LibC.O_NOFOLLOW | LibC.O_CLOEXEC;

    private final int fd;

    private DirectoryBelow(int fd) {
        this.fd = fd;
    }

    /**
     * Opens one.
     *
     * @param root trusted, and may be reached by links
     * @param relative from there; empty for the root itself
     * @return empty where there is none
     * @throws IOException also where a link or a file is in the way
     */
    public static Optional<DirectoryBelow> open(Path root, Path relative) throws IOException {
        return walk(root, relative, 0);
    }

    /**
     * Opens one, and makes what is missing.
     *
     * @param mode of new directories
     */
    public static DirectoryBelow make(Path root, Path relative, int mode) throws IOException {
        return walk(root, relative, mode)
                .orElseThrow(() -> new IOException(root.resolve(relative) + " was removed"));
    }

    private static Optional<DirectoryBelow> walk(Path root, Path relative, int mode)
            throws IOException {
        int at =
                LibC.INSTANCE.open(
                        root.toString(), LibC.O_PATH | LibC.O_DIRECTORY | LibC.O_CLOEXEC, 0);
        if (at < 0) {
            return missing(root, Native.getLastError());
        }
        Path path = root;
        for (Path name : relative) {
            if (name.toString().isEmpty()) {
                continue;
            }
            path = path.resolve(name);
            int next = step(at, name.toString(), mode);
            LibC.INSTANCE.close(at);
            if (next < 0) {
                return missing(path, -next);
            }
            at = next;
        }
        return Optional.of(new DirectoryBelow(at));
    }

    /**
     * @return a descriptor, or an error's number, negative
     */
    private static int step(int at, String name, int mode) {
        int next = LibC.INSTANCE.openat(at, name, FLAGS, 0);
        if (next >= 0) {
            return next;
        }
        int error = Native.getLastError();
        if (mode == 0 || error != LibC.ENOENT) {
            return -error;
        }
        boolean made = LibC.INSTANCE.mkdirat(at, name, mode) == 0;
        if (made) {
            int open =
                    LibC.INSTANCE.openat(
                            at,
                            name,
                            LibC.O_RDONLY | LibC.O_DIRECTORY | LibC.O_NOFOLLOW | LibC.O_CLOEXEC,
                            0);
            // Whatever the process's umask takes away.
            LibC.INSTANCE.fchmod(open, mode);
            LibC.INSTANCE.close(open);
        }
        next = LibC.INSTANCE.openat(at, name, FLAGS, 0);
        return next >= 0 ? next : -Native.getLastError();
    }

    private static Optional<DirectoryBelow> missing(Path path, int error) throws IOException {
        if (error == LibC.ENOENT) {
            return Optional.empty();
        }
        throw Descriptors.failed(path, error);
    }

    int fd() {
        return fd;
    }

    /** A path to it, while it is open. */
    public Path path() {
        return Descriptors.path(fd);
    }

    @Override
    public void close() {
        LibC.INSTANCE.close(fd);
    }
}
