// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.tributary.memory.os.Descriptors;
import io.tributary.memory.os.OfdLock;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Issue 13, item 6: a process lives as long as it holds its lock. */
@Timeout(60)
class PresenceTest {

    private static final int MODE = 0600;

    @TempDir Path temp;

    /** A process that shows itself, and starts another that goes on after it. */
    static final class Shower {

        public static void main(String[] arguments) throws IOException {
            Process child = new ProcessBuilder("sleep", "60").start();
            Owner owner = Owner.self(Path.of(arguments[0]));
            System.out.println(owner.process() + " " + owner.pid() + " " + child.pid());
            System.in.read();
        }
    }

    private record Shown(Process process, Owner owner, long child) {}

    private Shown start(String... before) throws IOException {
        List<String> command = new ArrayList<>(List.of(before));
        command.addAll(
                List.of(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Shower.class.getName(),
                        temp.toString()));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String[] line =
                new BufferedReader(new InputStreamReader(process.getInputStream()))
                        .readLine()
                        .split(" ");
        return new Shown(
                process,
                new Owner(UUID.fromString(line[0]), Long.parseLong(line[1])),
                Long.parseLong(line[2]));
    }

    private Path made() {
        return temp.resolve("updates").resolve("x.region");
    }

    @Test
    void aProcessLivesUntilItIsKilledWhateverItHasStarted() throws Exception {
        Shown shown = start();
        try {
            assertThat(shown.owner().alive(made())).isTrue();
            assertThat(shown.owner().pid()).isEqualTo(shown.process().pid());
            shown.process().destroyForcibly().waitFor();
            assertThat(ProcessHandle.of(shown.child())).as("its child").isPresent();
            await().atMost(Duration.ofSeconds(5)).until(() -> !shown.owner().alive(made()));
        } finally {
            shown.process().destroyForcibly();
            ProcessHandle.of(shown.child()).ifPresent(ProcessHandle::destroyForcibly);
        }
    }

    /** As in a container of its own, where it is process 1 and cannot be seen by its number. */
    @Test
    void aProcessOfAnotherNamespaceOfProcessIdsIsSeen() throws Exception {
        Assumptions.assumeTrue(TrustedDirectory.user() == 0, "only root makes namespaces");
        Shown shown = start("unshare", "--pid", "--fork", "--kill-child", "--mount-proc");
        try {
            assertThat(shown.owner().pid()).isEqualTo(1);
            assertThat(shown.owner().alive(made())).isTrue();
        } finally {
            shown.process().destroyForcibly().waitFor();
        }
        await().atMost(Duration.ofSeconds(5)).until(() -> !shown.owner().alive(made()));
    }

    /** A lock of POSIX would end here. */
    @Test
    void aProbeInTheSameProcessEndsNothing() throws Exception {
        Owner self = Owner.self(temp);
        Path file = temp.resolve(".alive").resolve(self.process().toString());
        try (FileChannel other = FileChannel.open(file, StandardOpenOption.WRITE)) {
            assertThat(other.isOpen()).isTrue();
        }
        assertThat(self.alive(made())).isTrue();
        assertThat(self.alive(made())).isTrue();
        assertThat(OfdLock.held(file)).isTrue();
        assertThat(OfdLock.tryLock(file, MODE)).isEmpty();
    }

    @Test
    void whoHasNeverShownItselfIsDead() {
        assertThat(new Owner(UUID.randomUUID(), 1).alive(made())).isFalse();
    }

    @Test
    void aDirectoryThatWasRemovedIsShownInAgain() throws Exception {
        Owner self = Owner.self(temp);
        Files.delete(temp.resolve(".alive").resolve(self.process().toString()));
        assertThat(self.alive(made())).isFalse();
        assertThat(Owner.self(temp).alive(made())).isTrue();
    }

    @Test
    void whatTheDeadHaveShownIsSweptAndTheLivingStay() throws Exception {
        Owner self = Owner.self(temp);
        Path dead = temp.resolve(".alive").resolve(UUID.randomUUID().toString());
        Files.createFile(dead);
        Presence.sweep(temp, Path.of(".alive"));
        assertThat(dead).doesNotExist();
        assertThat(self.alive(made())).isTrue();
    }

    /** What has a name that no process has drawn is somebody's, and not swept. */
    @Test
    void onlyPresencesAreSwept() throws Exception {
        Owner.self(temp);
        Path note = Files.createFile(temp.resolve(".alive").resolve("note"));
        Presence.sweep(temp, Path.of(".alive"));
        assertThat(note).exists();
    }

    /** Names of regions may be as deep as one likes. */
    @Test
    void whatLiesDeepBelowIsItsOwners() throws Exception {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 1 << 20);
        regions.reserve("a/b/c/d/e/f/g/h/i/j/k", 8).orElseThrow();
        assertThat(RegionDirectory.reap(temp.resolve("r"), Duration.ZERO)).isEmpty();
    }

    /** Whoever may make files above a region directory says nothing of who lives below it. */
    @Test
    void whatStrangersMakeAboveIsNotLookedAt() throws Exception {
        Path above = Files.createDirectory(temp.resolve("above"));
        Descriptors.setMode(above, 01777);
        RegionDirectory regions = new RegionDirectory(above.resolve("own"), 1 << 20);
        Path region = regions.own("x", 8).orElseThrow().file();
        UUID dead = UUID.randomUUID();
        try (FileChannel header = FileChannel.open(region, StandardOpenOption.WRITE)) {
            header.write(
                    ByteBuffer.allocate(16)
                            .putLong(Long.reverseBytes(dead.getMostSignificantBits()))
                            .putLong(Long.reverseBytes(dead.getLeastSignificantBits()))
                            .flip(),
                    40);
        }
        Path claim = Files.createDirectory(above.resolve(".alive")).resolve(dead.toString());
        try (OfdLock held = OfdLock.lock(claim, MODE)) {
            assertThat(OfdLock.held(claim)).isTrue();
            assertThat(RegionDirectory.reap(above.resolve("own"), Duration.ZERO))
                    .containsExactly(region);
            held.close();
        }
    }

    /** What is taken from the dead is not taken from those of whom nothing is known. */
    @Test
    void whoseDirectoryIsAnothersIsTakenForAlive() throws Exception {
        Assumptions.assumeTrue(TrustedDirectory.user() == 0, "only root can give files away");
        Path theirs = Files.createDirectory(temp.resolve("theirs"));
        Files.setAttribute(theirs, "unix:uid", 65534);
        Owner nobody = new Owner(UUID.randomUUID(), 1);
        assertThat(nobody.alive(theirs.resolve("x.region"))).isTrue();
        Path setgid = Files.createDirectory(temp.resolve("setgid"));
        Files.setAttribute(setgid, "unix:uid", 65534);
        Descriptors.setMode(setgid, 02755);
        assertThat(nobody.alive(setgid.resolve("x.region"))).isFalse();
        Owner self = Owner.self(temp);
        assertThat(self.alive(setgid.resolve("x.region"))).isTrue();
    }

    /** A program that the process starts does not keep it alive, however it is started. */
    @Test
    void thePresenceIsClosedOnExec() throws Exception {
        Owner self = Owner.self(temp);
        Path file = temp.resolve(".alive").resolve(self.process().toString()).toRealPath();
        boolean seen = false;
        try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
            for (Path fd : all) {
                if (Files.isSymbolicLink(fd) && Files.readSymbolicLink(fd).equals(file)) {
                    String flags =
                            Files.readAllLines(Path.of("/proc/self/fdinfo", fd.getFileName() + ""))
                                    .stream()
                                    .filter(line -> line.startsWith("flags:"))
                                    .findFirst()
                                    .orElseThrow();
                    assertThat(Integer.parseInt(flags.substring(6).strip(), 8) & 02000000)
                            .isNotZero();
                    seen = true;
                }
            }
        }
        assertThat(seen).isTrue();
    }

    /** A lock of a file that was removed while one waited for it would be nobody's. */
    @Test
    void aLockIsOnTheFileThatHasTheNameNow() throws Exception {
        Path file = temp.resolve("lock");
        OfdLock first = OfdLock.lock(file, MODE);
        CompletableFuture<OfdLock> second =
                CompletableFuture.supplyAsync(
                        () -> {
                            try {
                                return OfdLock.lock(file, MODE);
                            } catch (IOException e) {
                                throw new UncheckedIOException(e);
                            }
                        });
        Files.delete(file);
        first.close();
        try (OfdLock got = second.get()) {
            assertThat(OfdLock.tryLock(file, MODE)).as("it is held by its name").isEmpty();
            got.close();
        }
    }

    @Test
    void locksExcludeEachOtherInOneProcessToo() throws Exception {
        Path file = temp.resolve("lock");
        try (OfdLock first = OfdLock.tryLock(file, MODE).orElseThrow()) {
            assertThat(OfdLock.tryLock(file, MODE)).isEmpty();
            first.close();
            first.close();
            try (OfdLock second = OfdLock.lock(file, MODE)) {
                assertThat(OfdLock.held(file)).isTrue();
                second.close();
                assertThat(OfdLock.held(file)).isFalse();
            }
        }
    }

    /** Whoever may write to a directory must not make another's process create a file elsewhere. */
    @Test
    void aLockIsNotMadeThroughALink() throws Exception {
        Path elsewhere = temp.resolve("elsewhere");
        Path link = Files.createSymbolicLink(temp.resolve("link"), elsewhere);
        assertThatThrownBy(() -> OfdLock.tryLock(link, MODE))
                .hasMessage(link + ": it is a link, expected a file");
        assertThat(elsewhere).doesNotExist();
    }
}
