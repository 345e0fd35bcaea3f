// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.memory.os.Descriptors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Issue 13, item 5: whose a region directory is, and what is made in one that a group shares. */
class TrustedDirectoryTest {

    private static final int GROUP = 60;
    private static final int OTHER = 65534;

    @TempDir Path temp;

    private Path shared;

    @BeforeEach
    void share() throws IOException {
        Assumptions.assumeTrue(TrustedDirectory.user() == 0, "only root can share a directory");
        shared = Files.createDirectory(temp.resolve("shared"));
        Files.setAttribute(shared, "unix:gid", GROUP);
        Descriptors.setMode(shared, 03770);
    }

    private static String found(Path path) throws IOException {
        return "%s %o"
                .formatted(
                        Files.getAttribute(path, "unix:gid", LinkOption.NOFOLLOW_LINKS),
                        (int) Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS)
                                & 07777);
    }

    @Test
    void whatIsMadeInASharedDirectoryIsTheGroups() throws Exception {
        JobDirectory job = JobDirectory.of(shared, "job");
        RegionDirectory regions = job.regions(1 << 20);
        Path region = Path.of(regions.reserve("updates/00-x", 8).orElseThrow().payload().path());
        Path owned = regions.own("partials/y", 8).orElseThrow().file();
        JobDirectory.append(job.deadLetters(), "x");
        job.quotaBytes(1 << 20);
        for (Path directory :
                new Path[] {
                    job.path(), region.getParent(), owned.getParent(), job.path().resolve(".alive")
                }) {
            assertThat(found(directory)).as(directory.toString()).isEqualTo("60 2770");
        }
        for (Path file :
                new Path[] {
                    region,
                    owned,
                    job.deadLetters(),
                    job.path().resolve("job.json"),
                    job.path().resolve(".lock")
                }) {
            assertThat(found(file)).as(file.toString()).isEqualTo("60 660");
        }
    }

    /** Job and trainers begin at the same time. */
    @Test
    void whoeverMakesADirectoryFirstItIsTheGroups() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            for (int i = 0; i < 100; i++) {
                Path job = shared.resolve("job-" + i);
                List<Callable<Void>> makers = new ArrayList<>();
                for (String below : List.of(".alive", "partials", "updates", "")) {
                    makers.add(
                            () -> {
                                TrustedDirectory.make(job.resolve(below));
                                return null;
                            });
                }
                for (Future<Void> made : threads.invokeAll(makers)) {
                    made.get();
                }
                assertThat(found(job)).isEqualTo("60 2770");
                assertThat(found(job.resolve("partials"))).isEqualTo("60 2770");
            }
            try (Stream<Path> left = Files.list(shared)) {
                assertThat(left.filter(f -> f.getFileName().toString().startsWith(".")).toList())
                        .isEmpty();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void aDirectoryThatCannotBeMadeIsNamed() {
        assertThatThrownBy(() -> RegionDirectory.create(Path.of("/proc/x")))
                .hasMessageStartingWith("region directory /proc/x cannot be used; choose another: ")
                .hasMessageContaining("/proc/x cannot be made: ")
                .hasMessageNotContaining("/proc/.");
    }

    /** As Kubernetes mounts an empty volume with fsGroup: everybody may write to it. */
    @Test
    void aDirectoryThatEverybodyMayWriteToIsNotShared() throws Exception {
        Descriptors.setMode(shared, 02777);
        Path own = shared.resolve("own");
        TrustedDirectory.make(own);
        assertThat((int) Files.getAttribute(own, "unix:mode") & 0777).isEqualTo(0700);
    }

    /** As the agent's copies and its door, which nobody else is to replace. */
    @Test
    void whatIsOnesOwnInASharedDirectoryTheGroupMayReadAndNoMore() throws Exception {
        Path own = shared.resolve(".remote");
        TrustedDirectory.makeOwn(own);
        Path below = own.resolve("node");
        TrustedDirectory.makeOwn(below);
        try (OwnedRegion copy = OwnedRegion.sparse(below.resolve("x.region"), 8)) {
            assertThat(found(own)).isEqualTo("60 2710");
            assertThat(found(below)).isEqualTo("60 2710");
            assertThat(found(copy.file())).isEqualTo("60 640");
        }
        Descriptors.setMode(own, 02770);
        assertThatThrownBy(() -> TrustedDirectory.makeOwn(own))
                .hasMessageContaining("that nobody else can write to");
    }

    @Test
    void whatIsMadeInOnesOwnDirectoryIsForNobodyElse() throws Exception {
        JobDirectory job = JobDirectory.of(temp.resolve("own"), "job");
        Path region =
                Path.of(
                        job.regions(1 << 20)
                                .reserve("updates/00-x", 8)
                                .orElseThrow()
                                .payload()
                                .path());
        assertThat(found(job.path())).endsWith(" 700");
        assertThat(found(region)).endsWith(" 600");
    }

    /** A directory of somebody of the group is trusted where it lies in the shared one alone. */
    @Test
    void aDirectoryIsSharedByRootAlone() throws Exception {
        Path theirs = shared.resolve("theirs");
        TrustedDirectory.make(theirs);
        Files.setAttribute(theirs, "unix:uid", OTHER);
        Descriptors.setMode(theirs, 02770);
        TrustedDirectory.require(theirs);

        Path alone = Files.createDirectory(temp.resolve("alone"));
        Files.setAttribute(alone, "unix:uid", OTHER);
        Files.setAttribute(alone, "unix:gid", GROUP);
        Descriptors.setMode(alone, 02770);
        assertThatThrownBy(() -> TrustedDirectory.require(alone))
                .hasMessageContaining("it belongs to user 65534, expected 0");

        Files.setAttribute(theirs, "unix:gid", GROUP + 1);
        Descriptors.setMode(theirs, 02770);
        assertThatThrownBy(() -> TrustedDirectory.require(theirs))
                .as("another group's")
                .hasMessageContaining("it belongs to user 65534");
    }

    /** An agent's door is not to be replaced, nor the directory that it is in. */
    @Test
    void anAgentsDirectoryIsNobodyElsesToChange() throws Exception {
        Path own = Files.createDirectory(temp.resolve("own"));
        Descriptors.setMode(own, 0700);
        TrustedDirectory.makeForAgent(own);
        TrustedDirectory.makeForAgent(shared);

        Descriptors.setMode(own, 0770);
        assertThatThrownBy(() -> TrustedDirectory.makeForAgent(own))
                .hasMessageContaining("to which no group can write");
        Path theirs = shared.resolve("theirs");
        TrustedDirectory.make(theirs);
        Files.setAttribute(theirs, "unix:uid", OTHER);
        Descriptors.setMode(theirs, 02770);
        assertThatThrownBy(() -> TrustedDirectory.makeForAgent(theirs))
                .hasMessageContaining("the very one that root has shared");

        Path open = Files.createDirectory(temp.resolve("open"));
        Descriptors.setMode(open, 0777);
        Path below = Files.createDirectory(open.resolve("below"));
        Descriptors.setMode(below, 0700);
        assertThatThrownBy(() -> TrustedDirectory.makeForAgent(below))
                .hasMessageContaining(
                        "others can put another directory in its place, since " + open);
        Descriptors.setMode(open, 01777);
        TrustedDirectory.makeForAgent(below);
    }

    @Test
    void theUsersIdStandsInASetting() {
        assertThat(TrustedDirectory.of(TrustedDirectory.DEFAULT))
                .isEqualTo(Path.of("/dev/shm/tributary-" + TrustedDirectory.user()));
        assertThat(TrustedDirectory.of("/x/{uid}/{uid}")).isEqualTo(Path.of("/x/0/0"));
        assertThat(TrustedDirectory.of("/x")).isEqualTo(Path.of("/x"));
    }
}
