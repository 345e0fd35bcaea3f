// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.os;

import com.sun.jna.Pointer;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.UUID;

/**
 * A file that is there, and locked as {@link OfdLock} does it, from the moment that it has its
 * name. It stays locked until this object is garbage or its process ends, whichever comes first; so
 * a class loader that is thrown away leaves nothing locked. Thread-safe.
 */
public final class HeldFile {

    private final Path file;
    private final FileChannel channel;

    private HeldFile(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /**
     * Makes one.
     *
     * @param directory held, so nobody puts another in its place meanwhile
     * @param name of that name there must be none
     * @param mode its permissions
     */
    public static HeldFile create(DirectoryBelow directory, String name, int mode)
            throws IOException {
        Path file = directory.path().toRealPath().resolve(name);
        Path unnamed = directory.path().resolve("." + UUID.randomUUID());
        FileChannel channel =
                FileChannel.open(
                        unnamed,
                        Set.of(
                                StandardOpenOption.CREATE_NEW,
                                StandardOpenOption.READ,
                                StandardOpenOption.WRITE,
                                LinkOption.NOFOLLOW_LINKS));
        try {
            int fd = Descriptors.of(unnamed);
            LibC.INSTANCE.fchmod(fd, mode);
            // Java leaves that to how it starts programs itself; native code may start some too.
            LibC.INSTANCE.fcntl(fd, LibC.F_SETFD, new Pointer(LibC.FD_CLOEXEC));
            if (!OfdLock.tryLock(fd)) {
                throw new IOException(unnamed + " is locked by somebody else");
            }
            Files.move(unnamed, directory.path().resolve(name), StandardCopyOption.ATOMIC_MOVE);
            return new HeldFile(file, channel);
        } catch (IOException e) {
            channel.close();
            Files.deleteIfExists(unnamed);
            throw e;
        }
    }

    /** Whether nobody has removed it. */
    public boolean there() {
        return channel.isOpen() && Files.exists(file);
    }
}
