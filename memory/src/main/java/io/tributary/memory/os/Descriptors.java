// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.os;

import com.sun.jna.Native;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/** Files by their descriptors: what one is does not change when somebody changes its names. */
public final class Descriptors {

    private static final Path OF_THIS_PROCESS = Path.of("/proc/self/fd");

    private Descriptors() {}

    /** Opens a file for reading, without waiting and without following a link; empty: not there. */
    static Optional<Integer> open(Path file) throws IOException {
        int fd =
                LibC.INSTANCE.open(
                        file.toString(),
                        LibC.O_RDONLY | LibC.O_NOFOLLOW | LibC.O_NONBLOCK | LibC.O_CLOEXEC,
                        0);
        if (fd >= 0) {
            return Optional.of(fd);
        }
        int error = Native.getLastError();
        if (error == LibC.ENOENT || error == LibC.ENOTDIR) {
            return Optional.empty();
        }
        throw failed(file, error);
    }

    /**
     * Reads a small file.
     *
     * @return empty where there is none
     * @throws IOException also where it is a link, no plain file, or larger than that
     */
    public static Optional<byte[]> read(Path file, int maxBytes) throws IOException {
        Optional<Integer> fd = open(file);
        if (fd.isEmpty()) {
            return Optional.empty();
        }
        try {
            Path opened = path(fd.get());
            if (!Files.isRegularFile(opened)) {
                throw new IOException(file + ": expected a file");
            }
            if (Files.size(opened) > maxBytes) {
                throw tooLarge(file, maxBytes);
            }
            try (InputStream in = Files.newInputStream(opened)) {
                byte[] bytes = in.readNBytes(maxBytes + 1);
                if (bytes.length > maxBytes) {
                    throw tooLarge(file, maxBytes);
                }
                return Optional.of(bytes);
            }
        } finally {
            LibC.INSTANCE.close(fd.get());
        }
    }

    private static IOException tooLarge(Path file, int maxBytes) {
        return new IOException(
                "%s: expected at most %d bytes, it has more".formatted(file, maxBytes));
    }

    /** Opens a file for reading and writing, or makes it, without following a link. */
    static int openOrCreate(Path file, int mode) throws IOException {
        int flags = LibC.O_RDWR | LibC.O_NOFOLLOW | LibC.O_NONBLOCK | LibC.O_CLOEXEC;
        while (true) {
            int fd = LibC.INSTANCE.open(file.toString(), flags, 0);
            if (fd >= 0) {
                return fd;
            }
            int error = Native.getLastError();
            if (error != LibC.ENOENT) {
                throw failed(file, error);
            }
            fd = LibC.INSTANCE.open(file.toString(), flags | LibC.O_CREAT | LibC.O_EXCL, mode);
            if (fd >= 0) {
                // Whatever the process's umask takes away.
                LibC.INSTANCE.fchmod(fd, mode);
                return fd;
            }
            error = Native.getLastError();
            if (error != LibC.EEXIST) {
                throw failed(file, error);
            }
        }
    }

    /** Id of the user of this process. */
    public static int user() {
        return LibC.INSTANCE.geteuid();
    }

    /** Makes a file, with these permissions whatever the process's umask says. */
    public static FileChannel create(Path file, int mode) throws IOException {
        int flags = LibC.O_RDWR | LibC.O_CREAT | LibC.O_EXCL | LibC.O_NOFOLLOW | LibC.O_CLOEXEC;
        int fd = LibC.INSTANCE.open(file.toString(), flags, mode);
        if (fd < 0) {
            throw failed(file, Native.getLastError());
        }
        try {
            LibC.INSTANCE.fchmod(fd, mode);
            return FileChannel.open(path(fd), StandardOpenOption.READ, StandardOpenOption.WRITE);
        } finally {
            LibC.INSTANCE.close(fd);
        }
    }

    /** Sets the permissions of a directory, not of what a link leads to. */
    public static void setMode(Path directory, int mode) throws IOException {
        int fd =
                LibC.INSTANCE.open(
                        directory.toString(),
                        LibC.O_RDONLY | LibC.O_DIRECTORY | LibC.O_NOFOLLOW | LibC.O_CLOEXEC,
                        0);
        if (fd < 0) {
            throw failed(directory, Native.getLastError());
        }
        try {
            if (LibC.INSTANCE.fchmod(fd, mode) < 0) {
                throw failed(directory, Native.getLastError());
            }
        } finally {
            LibC.INSTANCE.close(fd);
        }
    }

    /**
     * Gives a file or directory another name.
     *
     * @return false where something has that name already
     */
    public static boolean rename(Path from, Path to) throws IOException {
        int result =
                LibC.INSTANCE.renameat2(
                        LibC.AT_FDCWD,
                        from.toString(),
                        LibC.AT_FDCWD,
                        to.toString(),
                        LibC.RENAME_NOREPLACE);
        if (result == 0) {
            return true;
        }
        int error = Native.getLastError();
        if (error == LibC.EEXIST) {
            return false;
        }
        if (error == LibC.EINVAL && !Files.exists(to, LinkOption.NOFOLLOW_LINKS)) {
            // A file system that cannot tell, such as NFS.
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
            return true;
        }
        throw failed(to, error);
    }

    /** A name of what is open, for as long as it is. */
    static Path path(int fd) {
        return OF_THIS_PROCESS.resolve(Integer.toString(fd));
    }

    /** Whether a file's name leads to what is open. */
    static boolean names(Path file, int fd) throws IOException {
        try {
            return Files.isSameFile(file, path(fd));
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    static IOException failed(Path file, int error) {
        if (error == LibC.ENOENT) {
            return new FileNotFoundException(file + ": " + LibC.INSTANCE.strerror(error));
        }
        return new IOException(
                "%s: %s"
                        .formatted(
                                file,
                                error == LibC.ELOOP
                                        ? "it is a link, expected a file"
                                        : LibC.INSTANCE.strerror(error)));
    }

    /** The number of a descriptor that Java has opened, of a file with no other name. */
    static int of(Path file) throws IOException {
        Path real = file.toRealPath();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(OF_THIS_PROCESS)) {
            for (Path one : all) {
                if (leadsTo(one, real)) {
                    return Integer.parseInt(one.getFileName().toString());
                }
            }
        }
        throw new IOException(file + " is not open in this process");
    }

    private static boolean leadsTo(Path descriptor, Path file) {
        try {
            return Files.readSymbolicLink(descriptor).equals(file);
        } catch (IOException e) {
            // It has just been closed, or is no file.
            return false;
        }
    }
}
