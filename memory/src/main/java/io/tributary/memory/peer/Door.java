// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.peer;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import io.tributary.memory.os.LibC;
import io.tributary.memory.region.TrustedDirectory;
import java.io.EOFException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * How a process of this host shows a service whose it is. It connects to a Unix socket below the
 * region directory, so only those to whom the directory is open get there; the kernel says which
 * user and process that is; and it gets a token, with which one TCP connection of its own is
 * admitted. TCP alone cannot tell: a port is anybody's again at once. Thread-safe.
 */
public final class Door implements AutoCloseable {

    /** Below the region directory; begins with a dot, so that no region's name leads there. */
    public static final String DIRECTORY = ".agent";

    private static final Duration TOKEN_LIFE = Duration.ofSeconds(5);
    private static final int MAX_OF_A_USER = 1_024;
    private static final int BACKLOG = 1024;
    private static final long PAUSE_MILLIS = 100;

    private static final int TOKEN_BYTES = 2 * Long.BYTES;
    private static final int PATH_BYTES = 107;
    private static final int FAMILY_BYTES = 2;
    private static final int CREDENTIALS_BYTES = 12;
    private static final int USER_AT = 4;
    private static final SecureRandom RANDOM = new SecureRandom();

    private final int socket;
    private final Path path;
    private final LongSupplier nanos;
    private final CountDownLatch closed = new CountDownLatch(1);

    /** Tokens that have not been used, the oldest first. */
    private final Map<UUID, Given> given = new LinkedHashMap<>();

    private final Map<Integer, Integer> givenTo = new HashMap<>();

    /** Whether the socket's number is still its own; guarded by {@code closed}. */
    private boolean open = true;

    private record Given(Visitor visitor, long nanos) {}

    /**
     * Whose a process is.
     *
     * @param user its user's id
     * @param pid its number, in this process's namespace; for people; 0 where it has none there
     */
    public record Visitor(int user, long pid) {}

    private Door(int socket, Path path, LongSupplier nanos) {
        this.socket = socket;
        this.path = path;
        this.nanos = nanos;
    }

    private static Path path(Path directory, int port) {
        return directory.toAbsolutePath().resolve(DIRECTORY).resolve(port + ".sock");
    }

    /**
     * Opens a door.
     *
     * @param directory the region directory, this process's user's or shared
     * @param port where the service listens, which nobody else does therefore
     * @param failure told when nobody can come in any more, unless by {@link #close}
     */
    public static Door open(Path directory, int port, Consumer<Throwable> failure)
            throws IOException {
        return open(directory, port, failure, System::nanoTime);
    }

    static Door open(Path directory, int port, Consumer<Throwable> failure, LongSupplier nanos)
            throws IOException {
        Path path = path(directory, port);
        TrustedDirectory.makeOwn(path.getParent());
        Files.deleteIfExists(path);
        int socket = LibC.INSTANCE.socket(LibC.AF_UNIX, LibC.SOCK_STREAM | LibC.SOCK_CLOEXEC, 0);
        try {
            Memory address = address(path);
            if (socket < 0
                    || LibC.INSTANCE.bind(socket, address, (int) address.size()) < 0
                    || LibC.INSTANCE.listen(socket, BACKLOG) < 0) {
                throw new IOException(
                        "%s: %s".formatted(path, LibC.INSTANCE.strerror(Native.getLastError())));
            }
            boolean shared = TrustedDirectory.shared(path.getParent().getParent());
            Files.setPosixFilePermissions(
                    path, PosixFilePermissions.fromString(shared ? "rw-rw----" : "rw-------"));
        } catch (IOException e) {
            LibC.INSTANCE.close(socket);
            throw e;
        }
        Door door = new Door(socket, path, nanos);
        Thread thread = new Thread(() -> door.welcome(failure), "door-" + port);
        thread.setDaemon(true);
        thread.start();
        return door;
    }

    private static Memory address(Path path) throws IOException {
        byte[] bytes = path.toString().getBytes(StandardCharsets.UTF_8);
        if (bytes.length > PATH_BYTES) {
            throw new IOException(
                    "%s has %d bytes, the path of a Unix socket at most %d; choose a shorter --dir"
                            .formatted(path, bytes.length, PATH_BYTES));
        }
        Memory address = new Memory(FAMILY_BYTES + bytes.length + 1);
        address.clear();
        address.setShort(0, (short) LibC.AF_UNIX);
        address.write(FAMILY_BYTES, bytes, 0, bytes.length);
        return address;
    }

    private void welcome(Consumer<Throwable> failure) {
        try {
            while (closed.getCount() > 0) {
                int visitor =
                        LibC.INSTANCE.accept4(
                                socket, Pointer.NULL, Pointer.NULL, LibC.SOCK_CLOEXEC);
                if (visitor >= 0) {
                    try {
                        give(visitor);
                    } finally {
                        LibC.INSTANCE.close(visitor);
                    }
                } else {
                    // There may be no free descriptor; clients that wait are served when there is
                    // one.
                    closed.await(PAUSE_MILLIS, TimeUnit.MILLISECONDS);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException | Error e) {
            failure.accept(e);
        } finally {
            synchronized (closed) {
                open = false;
                LibC.INSTANCE.close(socket);
            }
        }
    }

    private void give(int visitor) {
        try (Memory credentials = new Memory(CREDENTIALS_BYTES);
                Memory length = new Memory(Integer.BYTES)) {
            length.setInt(0, CREDENTIALS_BYTES);
            if (LibC.INSTANCE.getsockopt(
                            visitor, LibC.SOL_SOCKET, LibC.SO_PEERCRED, credentials, length)
                    < 0) {
                return;
            }
            token(new Visitor(credentials.getInt(USER_AT), credentials.getInt(0)))
                    .ifPresent(
                            token ->
                                    LibC.INSTANCE.send(
                                            visitor,
                                            bytes(token),
                                            TOKEN_BYTES,
                                            LibC.MSG_NOSIGNAL | LibC.MSG_DONTWAIT));
        }
    }

    /** Empty where the user has so many that it does not use that it gets no more now. */
    private synchronized Optional<UUID> token(Visitor visitor) {
        forgetOld();
        if (givenTo.getOrDefault(visitor.user(), 0) >= MAX_OF_A_USER) {
            return Optional.empty();
        }
        UUID token = new UUID(RANDOM.nextLong(), RANDOM.nextLong());
        given.put(token, new Given(visitor, nanos.getAsLong()));
        givenTo.merge(visitor.user(), 1, Integer::sum);
        return Optional.of(token);
    }

    private void forgetOld() {
        long now = nanos.getAsLong();
        Iterator<Given> oldest = given.values().iterator();
        while (oldest.hasNext()) {
            Given one = oldest.next();
            if (now - one.nanos() <= TOKEN_LIFE.toNanos()) {
                return;
            }
            oldest.remove();
            taken(one.visitor().user());
        }
    }

    private void taken(int user) {
        givenTo.computeIfPresent(user, (u, count) -> count == 1 ? null : count - 1);
    }

    /** Whose token it is, the first time within a few seconds that somebody asks. */
    public synchronized Optional<Visitor> redeem(UUID token) {
        forgetOld();
        Optional<Visitor> visitor = Optional.ofNullable(given.remove(token)).map(Given::visitor);
        visitor.ifPresent(v -> taken(v.user()));
        return visitor;
    }

    /** Whether somebody of a user is on the way in. */
    public synchronized boolean expects(int user) {
        forgetOld();
        return givenTo.containsKey(user);
    }

    private static byte[] bytes(UUID token) {
        return ByteBuffer.allocate(TOKEN_BYTES)
                .putLong(token.getMostSignificantBits())
                .putLong(token.getLeastSignificantBits())
                .array();
    }

    /**
     * Gets a token, to be shown on a TCP connection that is made after this.
     *
     * @param directory the region directory
     * @param port where the service listens
     * @throws IOException when there is no such door, or it does not open for this user
     */
    public static UUID enter(Path directory, int port) throws IOException {
        Path path = path(directory, port);
        try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            channel.connect(UnixDomainSocketAddress.of(path));
            ByteBuffer token = ByteBuffer.allocate(TOKEN_BYTES);
            while (token.hasRemaining()) {
                if (channel.read(token) < 0) {
                    throw new EOFException("too many connections of this user are on their way");
                }
            }
            return new UUID(token.getLong(0), token.getLong(Long.BYTES));
        } catch (IOException e) {
            throw new IOException("%s: %s".formatted(path, e.getMessage()), e);
        }
    }

    @Override
    public void close() {
        if (closed.getCount() > 0) {
            closed.countDown();
            synchronized (closed) {
                if (open) {
                    // Unlike closing, this wakes the thread that waits, which then closes it.
                    LibC.INSTANCE.shutdown(socket, LibC.SHUT_RDWR);
                }
            }
            try {
                Files.deleteIfExists(path);
            } catch (IOException e) {
                // The next one on this port removes it.
            }
        }
    }
}
