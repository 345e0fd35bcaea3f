// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.os;

import com.sun.jna.Native;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * A plain file below a directory, held by its descriptor: what is found out about it and what is
 * done with it concern one and the same file, whatever becomes of its name meanwhile. No name on
 * the way may be a link, and nothing is opened that could block. For one thread; to be closed.
 */
public final class FileBelow implements AutoCloseable {

    private static final int TYPE = 0xF000;
    private static final int TYPE_FILE = 0x8000;

    private final Path named;
    private final DirectoryBelow parent;
    private final int fd;
    private final Map<String, Object> attributes;

    private FileBelow(Path named, DirectoryBelow parent, int fd) throws IOException {
        this.named = named;
        this.parent = parent;
        this.fd = fd;
        this.attributes = Files.readAttributes(Descriptors.path(fd), "unix:uid,gid,mode,ino");
    }

    /**
     * Opens one.
     *
     * @param root trusted, and may be reached by links
     * @param relative from there
     * @return empty where there is none
     * @throws IOException also where a link is on the way, or it is no plain file
     */
    public static Optional<FileBelow> open(Path root, Path relative) throws IOException {
        Path directory = relative.getParent() == null ? Path.of("") : relative.getParent();
        Optional<DirectoryBelow> parent = DirectoryBelow.open(root, directory);
        if (parent.isEmpty()) {
            return Optional.empty();
        }
        Optional<FileBelow> found = Optional.empty();
        try {
            found = open(root.resolve(relative), parent.get());
            return found;
        } finally {
            if (found.isEmpty()) {
                parent.get().close();
            }
        }
    }

    private static Optional<FileBelow> open(Path named, DirectoryBelow parent) throws IOException {
        int fd =
                LibC.INSTANCE.openat(
                        parent.fd(),
                        named.getFileName().toString(),
                        LibC.O_PATH | LibC.O_NOFOLLOW | LibC.O_CLOEXEC,
                        0);
        if (fd < 0) {
            int error = Native.getLastError();
            if (error == LibC.ENOENT) {
                return Optional.empty();
            }
            throw Descriptors.failed(named, error);
        }
        try {
            int mode = (int) Files.getAttribute(Descriptors.path(fd), "unix:mode");
            if ((mode & TYPE) != TYPE_FILE) {
                throw new IOException(named + ": it is a link or something else, expected a file");
            }
            // It is the same file, and now it is known that opening it does nothing else. Its owner
            // may still have a lease on it, for which nobody waits.
            int reading =
                    LibC.INSTANCE.open(
                            Descriptors.path(fd).toString(),
                            LibC.O_RDONLY | LibC.O_NONBLOCK | LibC.O_CLOEXEC,
                            0);
            if (reading < 0) {
                throw Descriptors.failed(named, Native.getLastError());
            }
            return Optional.of(new FileBelow(named, parent, reading));
        } finally {
            LibC.INSTANCE.close(fd);
        }
    }

    private int number(String attribute) {
        return (int) attributes.get(attribute);
    }

    /** Where it was found; by now there may be another. */
    public Path named() {
        return named;
    }

    /** A path that leads to this very file, while it is open. */
    public Path path() {
        return Descriptors.path(fd);
    }

    /** Id of its user. */
    public int user() {
        return number("uid");
    }

    /** Id of its group. */
    public int group() {
        return number("gid");
    }

    /** Its permissions. */
    public int mode() {
        return number("mode") & ~TYPE;
    }

    /** Its number in its file system. */
    public Object inode() {
        return attributes.get("ino");
    }

    /** Removes its name, by which somebody may have put another file there meanwhile. */
    public void delete() throws IOException {
        if (LibC.INSTANCE.unlinkat(parent.fd(), named.getFileName().toString(), 0) < 0) {
            int error = Native.getLastError();
            if (error != LibC.ENOENT) {
                throw Descriptors.failed(named, error);
            }
        }
    }

    @Override
    public void close() {
        LibC.INSTANCE.close(fd);
        parent.close();
    }
}
