// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.jna.Pointer;
import io.tributary.memory.guard.MemoryGuard;
import io.tributary.memory.os.FileBelow;
import io.tributary.memory.os.LibC;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionEdit;
import io.tributary.memory.region.RegionWriter;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.protocol.message.RegionRef;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Issue 13, item 1: what a node does in directories where others may put what they like. */
@Timeout(60)
class OthersFilesTest {

    private static final int OTHER = 65534;
    private static final int F_SETSIG = 10;
    private static final int SIGURG = 23;
    private static final int F_SETLEASE = 1024;
    private static final int F_WRLCK = 1;

    @TempDir Path temp;

    private Path root;
    private LocalRegionStore store;

    @BeforeEach
    void store() throws IOException {
        root = Files.createDirectory(temp.resolve("root"));
        store = new LocalRegionStore("a", root, new RateLimiter(0));
    }

    private Path region(Path directory, String name, String description) throws IOException {
        try (RegionWriter writer =
                new RegionDirectory(directory, 1 << 20).reserve(name, 8).orElseThrow()) {
            writer.publish(0, description);
            return Path.of(writer.payload().path());
        }
    }

    @Test
    void aRegionThatIsALinkIsNotRead() throws Exception {
        Path secret = region(temp.resolve("elsewhere"), "secret", "{}");
        Files.createSymbolicLink(root.resolve("in.region"), secret);
        assertThatThrownBy(() -> store.find(0, "in")).hasMessageContaining("it is a link");
        assertThat(store.list(0, "")).isEmpty();
        assertThat(secret).exists();
    }

    /** Whoever owns the directory swaps it while the node works. */
    @Test
    void aDirectoryThatIsALinkIsNotGoneThrough() throws Exception {
        Path elsewhere = temp.resolve("elsewhere");
        region(elsewhere, "secret", "{}");
        Files.createSymbolicLink(root.resolve("job"), elsewhere);
        assertThatThrownBy(() -> store.find(0, "job/secret")).hasMessageContaining("job");
        assertThatThrownBy(() -> store.allocate(0, "job/new", 8)).hasMessageContaining("job");
        assertThat(elsewhere.resolve("new.region")).doesNotExist();
        RegionDirectory.reap(root, Duration.ZERO);
        assertThat(elsewhere.resolve("secret.region")).exists();
    }

    /** The issue's own: the file that was looked at is a link by the time it is used. */
    @Test
    void aFileThatIsHeldStaysTheSameWhateverBecomesOfItsName() throws Exception {
        Path mine = region(root, "mine", "{\"a\":1}");
        Path secret = region(temp.resolve("elsewhere"), "secret", "{\"a\":2}");
        try (FileBelow held = FileBelow.open(root, Path.of("mine.region")).orElseThrow()) {
            byte[] before = Files.readAllBytes(mine);
            Files.delete(mine);
            Files.createSymbolicLink(mine, secret);
            assertThat(Files.readAllBytes(held.path())).isEqualTo(before);
            held.delete();
            assertThat(mine).as("the link alone").doesNotExist();
            assertThat(secret).exists();
        }
    }

    @Test
    void aPipeBlocksNobody() throws Exception {
        assertThat(
                        new ProcessBuilder("mkfifo", root.resolve("x.region").toString())
                                .start()
                                .waitFor())
                .isZero();
        assertThatThrownBy(() -> store.find(0, "x"))
                .hasMessageContaining("something else, expected a file");
        assertThat(store.list(0, "")).isEmpty();
        assertThat(RegionDirectory.reap(root, Duration.ZERO)).isEmpty();
        // Nor does one in the place of a job's settings, which tell whether a region is wanted.
        Path job = root.resolve("job");
        Path update = region(job, "updates/00-x", "{}");
        byte[] dead = Files.readAllBytes(update);
        dead[40]++;
        Files.write(update, dead);
        assertThat(
                        new ProcessBuilder("mkfifo", job.resolve("job.json").toString())
                                .start()
                                .waitFor())
                .isZero();
        assertThat(RegionDirectory.reap(root, Duration.ZERO)).as("it may be wanted").isEmpty();
        assertThat(update).exists();
    }

    /** What the dead have shown is swept, and nothing where a link leads. */
    @Test
    void aLinkInThePlaceOfPresencesIsNotSwept() throws Exception {
        Path secrets = Files.createDirectory(temp.resolve("secrets"));
        Path named = Files.createFile(secrets.resolve("secret"));
        Path drawn = Files.createFile(secrets.resolve(UUID.randomUUID().toString()));
        Files.createDirectory(root.resolve("job"));
        Files.createSymbolicLink(root.resolve("job/.alive"), secrets);
        RegionDirectory.reap(root, Duration.ZERO);
        assertThat(named).exists();
        assertThat(drawn).exists();
    }

    /** Its owner has a lease, for whose end an open would wait up to 45 s. */
    @Test
    @Timeout(10)
    void aLeaseKeepsNobodyWaiting() throws Exception {
        Path file = region(root, "x", "{}");
        int fd = LibC.INSTANCE.open(file.toString(), LibC.O_RDWR | LibC.O_CLOEXEC, 0);
        try {
            // The signal that tells of an open would otherwise end this process.
            assertThat(LibC.INSTANCE.fcntl(fd, F_SETSIG, new Pointer(SIGURG))).isZero();
            assertThat(LibC.INSTANCE.fcntl(fd, F_SETLEASE, new Pointer(F_WRLCK))).isZero();
            assertThatThrownBy(() -> store.find(0, "x"))
                    .hasMessageContaining("Resource temporarily unavailable");
            assertThat(RegionDirectory.reap(root, Duration.ZERO)).isEmpty();
            assertThat(file).exists();
        } finally {
            LibC.INSTANCE.close(fd);
        }
    }

    /** Its owner cuts it short while the node changes it; without the guard the node would die. */
    @Test
    void aFileThatIsCutShortWhileItIsChangedEndsNobody() throws Exception {
        Assumptions.assumeTrue(MemoryGuard.install(), "this build has no guard");
        Path path = region(root, "x", "{}");
        try (FileBelow file = FileBelow.open(root, Path.of("x.region")).orElseThrow();
                RegionEdit edit = RegionEdit.begin(file, 1)) {
            try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
                channel.truncate(0);
            }
            edit.commit();
        }
        assertThatThrownBy(() -> store.find(0, "x")).hasMessageContaining("is damaged");
    }

    /** A file of which nothing takes memory may have any length. */
    @Test
    void aRegionThatIsLargerThanItsFileSystemIsRejected() throws Exception {
        Path path = region(root, "x", "{}");
        long most = Files.getFileStore(root).getTotalSpace();
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(2 * most);
            byte[] length = new byte[8];
            ByteBuffer.wrap(length).order(ByteOrder.LITTLE_ENDIAN).putLong(2 * most - 4096);
            for (int at : new int[] {24, 64}) {
                file.seek(at);
                file.write(length);
            }
        }
        RegionInfo found = store.find(0, "x");
        assertThatThrownBy(() -> store.write(0, found.ref().part(0, 0), null))
                .hasMessageContaining("more than its file system could hold");
        assertThatThrownBy(() -> store.send(0, found.ref(), found.identity(), null))
                .hasMessageContaining("more than its file system could hold");
    }

    /** Paths that are longer than the kernel takes, and directories that nobody may look into. */
    @Test
    void whatCannotBeListedKeepsNothingElse() throws Exception {
        String name = "d".repeat(200);
        Process deep =
                new ProcessBuilder(
                                "bash",
                                "-c",
                                "for i in {1..30}; do mkdir %s && cd %s; done"
                                        .formatted(name, name))
                        .directory(root.toFile())
                        .start();
        assertThat(deep.waitFor()).isZero();
        try {
            Path rubbish = Files.writeString(root.resolve("x.region"), "?");
            assertThat(RegionDirectory.list(root)).contains(rubbish);
            assertThat(RegionDirectory.reap(root, Duration.ZERO)).containsExactly(rubbish);
        } finally {
            new ProcessBuilder("rm", "-rf", root.resolve(name).toString()).start().waitFor();
        }
    }

    @Test
    void oneOfTwoGetsAName() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            for (int i = 0; i < 50; i++) {
                String name = "n-" + i;
                List<Callable<String>> makers =
                        Collections.nCopies(
                                4,
                                () -> {
                                    try {
                                        store.allocate(0, name, 100);
                                        return "made";
                                    } catch (NodeRejectedException e) {
                                        return e.getMessage();
                                    }
                                });
                List<String> results = new ArrayList<>();
                for (Future<String> made : threads.invokeAll(makers)) {
                    results.add(made.get());
                }
                assertThat(results)
                        .containsOnlyOnce("made")
                        .filteredOn(r -> !r.equals("made"))
                        .allMatch(r -> r.endsWith("is there already"));
            }
        } finally {
            threads.shutdownNow();
        }
    }

    /** Room is looked at first, so that nobody else finds the file system full meanwhile. */
    @Test
    void whatCannotFitIsNotBegun() throws Exception {
        assertThatThrownBy(() -> store.allocate(0, "huge", 1L << 50))
                .hasMessageContaining("no room for its");
        assertThat(RegionDirectory.usedBytes(root)).isZero();
    }

    /** A description says for whom the node has made a region; others may write what they like. */
    @Test
    void whatAnotherUsersFileSaysOfItsOwnerIsNotBelieved() throws Exception {
        Assumptions.assumeTrue(TrustedDirectory.user() == 0, "only root can give files away");
        Path file = region(root, "theirs", "{\"owner\":1000}");
        assertThat(store.find(1000, "theirs").ref().length()).isEqualTo(8);
        Files.setAttribute(file, "unix:uid", OTHER);
        assertThatThrownBy(() -> store.find(1000, "theirs")).hasMessageContaining("may not read");
        assertThat(store.find(OTHER, "theirs").ref().length()).isEqualTo(8);
    }

    /** As large as whoever writes it likes; it would be read into the agent's memory. */
    @Test
    void aSettingIsNotReadHoweverLargeItIs() throws Exception {
        JobDirectory job = JobDirectory.of(root, "job");
        Files.createDirectories(job.path());
        try (RandomAccessFile large = new RandomAccessFile(job.round().toFile(), "rw")) {
            large.setLength(1L << 40);
        }
        assertThatThrownBy(() -> JobDirectory.read(job.round(), String.class))
                .hasMessageContaining("expected at most 134217728 bytes");
        assertThatThrownBy(() -> JobDirectory.readSmall(job.round(), String.class))
                .hasMessageContaining("expected at most 65536 bytes");
    }

    /** A lock or a log that is a link would be made, or written to, where it leads. */
    @Test
    void nothingIsMadeThroughALink() throws Exception {
        Path elsewhere = temp.resolve("elsewhere");
        RegionDirectory regions = new RegionDirectory(root, 1 << 20);
        Files.createSymbolicLink(root.resolve(".lock"), elsewhere);
        assertThatThrownBy(() -> regions.reserve("x", 8)).hasMessageContaining("it is a link");
        JobDirectory job = JobDirectory.of(root, "job");
        Files.createDirectories(job.path());
        Files.createSymbolicLink(job.deadLetters(), elsewhere);
        assertThatThrownBy(() -> JobDirectory.append(job.deadLetters(), "x"))
                .hasMessageContaining("cannot be written");
        Files.createSymbolicLink(job.round(), elsewhere);
        JobDirectory.replace(job.round(), "x");
        assertThat(Files.isSymbolicLink(job.round())).as("it is replaced").isFalse();
        assertThat(elsewhere).doesNotExist();
    }

    /** Another user may have put its own directory in the place of the node's copies. */
    @Test
    void copiesAreMadeInADirectoryOfTheNodesOwnAlone() throws Exception {
        Path copies = Files.createDirectory(root.resolve(".remote"));
        Assumptions.assumeTrue(TrustedDirectory.user() == 0, "only root can give one away");
        Files.setAttribute(copies, "unix:uid", OTHER);
        assertThatThrownBy(() -> new RemoteRegions(copies, null, Duration.ZERO))
                .hasMessageContaining("it belongs to user 65534");
        Files.delete(copies);
        Files.createSymbolicLink(copies, temp);
        assertThatThrownBy(() -> new RemoteRegions(copies, null, Duration.ZERO))
                .hasMessageContaining("expected a directory of user 0");
    }

    /** Between looking and sending a region may be replaced by another file of the same name. */
    @Test
    void aRegionThatWasReplacedIsAnother() throws Exception {
        Path file = region(root, "mine", "{}");
        RegionInfo found = store.find(0, "mine");
        Files.move(region(root, "other", "{}"), file, StandardCopyOption.REPLACE_EXISTING);
        RegionRef ref = found.ref();
        assertThatThrownBy(() -> store.send(0, ref, found.identity(), null))
                .hasMessageContaining("is another than it was");
    }
}
