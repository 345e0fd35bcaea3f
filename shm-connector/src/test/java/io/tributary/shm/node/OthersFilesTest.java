// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.message.RegionRef;
import io.tributary.shm.os.FileBelow;
import io.tributary.shm.region.JobDirectory;
import io.tributary.shm.region.RegionDirectory;
import io.tributary.shm.region.RegionWriter;
import io.tributary.shm.region.TrustedDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Issue 13, item 1: what a node does in directories where others may put what they like. */
@Timeout(60)
class OthersFilesTest {

    private static final int OTHER = 65534;

    @TempDir Path temp;

    private Path root;
    private RegionShelf shelf;

    @BeforeEach
    void shelf() throws IOException {
        root = Files.createDirectory(temp.resolve("root"));
        shelf = new RegionShelf("a", root, new Rates(0));
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
        assertThatThrownBy(() -> shelf.find(0, "in")).hasMessageContaining("it is a link");
        assertThat(shelf.list(0, "")).isEmpty();
        assertThat(secret).exists();
    }

    /** Whoever owns the directory swaps it while the node works. */
    @Test
    void aDirectoryThatIsALinkIsNotGoneThrough() throws Exception {
        Path elsewhere = temp.resolve("elsewhere");
        region(elsewhere, "secret", "{}");
        Files.createSymbolicLink(root.resolve("job"), elsewhere);
        assertThatThrownBy(() -> shelf.find(0, "job/secret")).hasMessageContaining("job");
        assertThatThrownBy(() -> shelf.allocate(0, "job/new", 8)).hasMessageContaining("job");
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
        assertThatThrownBy(() -> shelf.find(0, "x"))
                .hasMessageContaining("something else, expected a file");
        assertThat(shelf.list(0, "")).isEmpty();
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
        assertThat(RegionDirectory.reap(root, Duration.ZERO)).containsExactly(update);
    }

    /** A description says for whom the node has made a region; others may write what they like. */
    @Test
    void whatAnotherUsersFileSaysOfItsOwnerIsNotBelieved() throws Exception {
        Assumptions.assumeTrue(TrustedDirectory.user() == 0, "only root can give files away");
        Path file = region(root, "theirs", "{\"owner\":1000}");
        assertThat(shelf.find(1000, "theirs").ref().length()).isEqualTo(8);
        Files.setAttribute(file, "unix:uid", OTHER);
        assertThatThrownBy(() -> shelf.find(1000, "theirs")).hasMessageContaining("may not read");
        assertThat(shelf.find(OTHER, "theirs").ref().length()).isEqualTo(8);
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
        RegionInfo found = shelf.find(0, "mine");
        Files.move(region(root, "other", "{}"), file, StandardCopyOption.REPLACE_EXISTING);
        RegionRef ref = found.ref();
        assertThatThrownBy(() -> shelf.send(0, ref, found.identity(), null))
                .hasMessageContaining("is another than it was");
    }
}
