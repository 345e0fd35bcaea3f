// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.memory.region.TrustedDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Issue 13, item 2: who asks is known for certain. */
@Timeout(60)
class DoorTest {

    private static final int PORT = 10105;

    @TempDir Path temp;

    private final AtomicLong nanos = new AtomicLong();
    private Door door;

    @BeforeEach
    void open() throws IOException {
        door = Door.open(temp, PORT, e -> {}, nanos::get);
    }

    @AfterEach
    void close() {
        door.close();
        door.close();
    }

    @Test
    void aTokenSaysWhoGotItAndIsGoodOnce() throws Exception {
        assertThat(door.expects(TrustedDirectory.user())).isFalse();
        UUID token = Door.enter(temp, PORT);
        assertThat(door.expects(TrustedDirectory.user())).isTrue();
        assertThat(door.redeem(UUID.randomUUID())).isEmpty();
        assertThat(door.redeem(token))
                .hasValue(new Door.Visitor(TrustedDirectory.user(), ProcessHandle.current().pid()));
        assertThat(door.redeem(token)).isEmpty();
        assertThat(door.expects(TrustedDirectory.user())).isFalse();
    }

    @Test
    void aTokenIsGoodForAFewSeconds() throws Exception {
        UUID token = Door.enter(temp, PORT);
        nanos.addAndGet(Duration.ofSeconds(6).toNanos());
        assertThat(door.redeem(token)).isEmpty();
        assertThat(door.expects(TrustedDirectory.user())).isFalse();
    }

    /** A process that only fetches tokens fills no memory, and hinders nobody for long. */
    @Test
    void tokensThatAreNotUsedAreFew() throws Exception {
        for (int i = 0; i < 1024; i++) {
            Door.enter(temp, PORT);
        }
        assertThatThrownBy(() -> Door.enter(temp, PORT))
                .hasMessageContaining("10105.sock: too many connections of this user");
        nanos.addAndGet(Duration.ofSeconds(6).toNanos());
        assertThat(door.redeem(Door.enter(temp, PORT))).isPresent();
    }

    @Test
    void itOpensForThoseAloneToWhomTheDirectoryIsOpen() throws Exception {
        Path socket = temp.resolve(".agent").resolve(PORT + ".sock");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)))
                .isEqualTo("rw-------");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket.getParent())))
                .isEqualTo("rwx------");
    }

    @Test
    void whoComesWhenItIsClosedIsTold() {
        door.close();
        assertThatThrownBy(() -> Door.enter(temp, PORT))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(".agent/10105.sock");
    }

    @Test
    void aPathThatIsTooLongForASocketIsNamed() throws Exception {
        Path deep = Files.createDirectories(temp.resolve("d".repeat(100)));
        assertThatThrownBy(() -> Door.open(deep, PORT, e -> {}))
                .hasMessageContaining("the path of a Unix socket at most 107; choose a shorter");
    }

    @Test
    void anErrorIsToldToWhoeverRunsIt() throws Exception {
        CompletableFuture<Throwable> failure = new CompletableFuture<>();
        try (Door broken =
                Door.open(
                        temp,
                        PORT + 1,
                        failure::complete,
                        () -> {
                            throw new OutOfMemoryError("for the test");
                        })) {
            assertThatThrownBy(() -> Door.enter(temp, PORT + 1)).isInstanceOf(IOException.class);
            assertThat(failure.get(5, TimeUnit.SECONDS)).isInstanceOf(OutOfMemoryError.class);
            broken.close();
        }
    }

    /** A link, say, to the directory of somebody whose sockets could be replaced. */
    @Test
    void aPlaceThatSomebodyElseHasMadeIsNotUsed() throws Exception {
        Path other = Files.createDirectory(temp.resolve("other"));
        Files.createSymbolicLink(other.resolve(".agent"), temp);
        assertThatThrownBy(() -> Door.open(other, PORT, e -> {}))
                .hasMessageContaining("expected a directory of user");
        Assumptions.assumeTrue(TrustedDirectory.user() == 0, "only root can give one away");
        Path foreign = Files.createDirectories(temp.resolve("foreign/.agent"));
        Files.setAttribute(foreign, "unix:uid", 65534);
        assertThatThrownBy(() -> Door.open(temp.resolve("foreign"), PORT, e -> {}))
                .hasMessageContaining("it belongs to user 65534");
    }
}
