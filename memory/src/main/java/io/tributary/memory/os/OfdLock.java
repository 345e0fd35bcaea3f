// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.os;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A lock on byte 0 of a file that belongs to an open file description, see fcntl(2), {@code
 * F_OFD_SETLK}. Java's own locks are those of POSIX, which belong to the process, and all of which
 * on a file end when the process closes any descriptor of it. The lock ends with its process,
 * however that ends; a program that the process starts does not inherit it. Thread-safe.
 */
public final class OfdLock implements AutoCloseable {

    private static final int F_OFD_GETLK = 36;
    private static final int F_OFD_SETLK = 37;
    private static final int F_OFD_SETLKW = 38;
    private static final short F_WRLCK = 1;
    private static final short F_UNLCK = 2;

    private static final int FLOCK_BYTES = 32;
    private static final int START_AT = 8;
    private static final int LENGTH_AT = 16;

    private final int fd;
    private final AtomicBoolean closed = new AtomicBoolean();

    private OfdLock(int fd) {
        this.fd = fd;
    }

    /**
     * Takes the lock if nobody has it.
     *
     * @param file created when missing, never followed where it is a link
     * @param mode of a new file
     */
    public static Optional<OfdLock> tryLock(Path file, int mode) throws IOException {
        return take(file, mode, F_OFD_SETLK);
    }

    /** Takes the lock as soon as nobody has it. */
    public static OfdLock lock(Path file, int mode) throws IOException {
        return take(file, mode, F_OFD_SETLKW).orElseThrow();
    }

    private static Optional<OfdLock> take(Path file, int mode, int command) throws IOException {
        while (true) {
            int fd = Descriptors.openOrCreate(file, mode);
            boolean taken = false;
            boolean there = false;
            try {
                taken = lock(fd, command);
                there = taken && Descriptors.names(file, fd);
            } finally {
                if (!there) {
                    LibC.INSTANCE.close(fd);
                }
            }
            if (!taken) {
                return Optional.empty();
            }
            if (there) {
                return Optional.of(new OfdLock(fd));
            }
            // It was removed meanwhile, and the lock of a file without a name protects nothing.
        }
    }

    /**
     * Takes the lock for a descriptor that somebody else closes, and the lock with it.
     *
     * @return false where another has it
     */
    public static boolean tryLock(int fd) throws IOException {
        return lock(fd, F_OFD_SETLK);
    }

    private static boolean lock(int fd, int command) throws IOException {
        try (Memory flock = whole()) {
            while (LibC.INSTANCE.fcntl(fd, command, flock) < 0) {
                int error = Native.getLastError();
                if (error == LibC.EAGAIN || error == LibC.EACCES) {
                    return false;
                }
                if (error != LibC.EINTR) {
                    throw new IOException("cannot be locked: " + LibC.INSTANCE.strerror(error));
                }
            }
            return true;
        }
    }

    /** Whether anybody has the lock, this process too; nobody has that of a file that is gone. */
    public static boolean held(Path file) throws IOException {
        Optional<Integer> fd = Descriptors.open(file);
        if (fd.isEmpty()) {
            return false;
        }
        try (Memory flock = whole()) {
            if (LibC.INSTANCE.fcntl(fd.get(), F_OFD_GETLK, flock) < 0) {
                throw new IOException(
                        "%s cannot be asked for its lock: %s"
                                .formatted(file, LibC.INSTANCE.strerror(Native.getLastError())));
            }
            return flock.getShort(0) != F_UNLCK;
        } finally {
            LibC.INSTANCE.close(fd.get());
        }
    }

    private static Memory whole() {
        Memory flock = new Memory(FLOCK_BYTES);
        flock.clear();
        flock.setShort(0, F_WRLCK);
        flock.setLong(START_AT, 0);
        flock.setLong(LENGTH_AT, 1);
        return flock;
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            LibC.INSTANCE.close(fd);
        }
    }
}
