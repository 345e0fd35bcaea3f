// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RegionDirectoryTest {

    @TempDir Path temp;

    @Test
    void aPublishedRegionReadsAsTheProtocolSays() throws IOException {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 1 << 20);
        PayloadRef payload;
        try (RegionWriter writer = regions.reserve("x", 5).orElseThrow()) {
            writer.write(0, ByteBuffer.wrap(new byte[] {1, 2, 3}));
            writer.write(3, ByteBuffer.wrap(new byte[] {4, 5}));
            writer.publish(0xCAFE, "{\"a\":1}");
            payload = writer.payload();
        }

        // Offsets as docs/protocol.md gives them, not as the code does.
        ByteBuffer file =
                ByteBuffer.wrap(Files.readAllBytes(Path.of(payload.path())))
                        .order(ByteOrder.LITTLE_ENDIAN);
        byte[] magic = new byte[8];
        file.get(0, magic);
        assertThat(new String(magic)).isEqualTo("TRIBUTRY");
        assertThat(file.getInt(8)).isEqualTo(3);
        assertThat(file.getInt(12)).as("there is a checksum").isEqualTo(2);
        assertThat(file.getInt(16)).isEqualTo(2);
        assertThat(file.getInt(20)).isEqualTo(1);
        assertThat(file.getLong(24)).isEqualTo(5);
        assertThat(file.getInt(32)).isEqualTo(0xCAFE);
        assertThat(file.getInt(36)).isEqualTo(7);
        UUID owner = new UUID(file.getLong(40), file.getLong(48));
        assertThat(temp.resolve("r/.alive/" + owner)).exists();
        assertThat(file.getLong(56)).isEqualTo(ProcessHandle.current().pid());
        assertThat(file.getLong(64)).isEqualTo(5);
        byte[] description = new byte[7];
        file.get(72, description);
        assertThat(new String(description)).isEqualTo("{\"a\":1}");
        assertThat(file.capacity()).isEqualTo(4096 + 5);
        assertThat(file.slice(4096, 5)).isEqualTo(ByteBuffer.wrap(new byte[] {1, 2, 3, 4, 5}));
        try (MappedFile mapped = MappedFile.open(payload)) {
            assertThat(mapped.slice(1, 3)).isEqualTo(ByteBuffer.wrap(new byte[] {2, 3, 4}));
        }
    }

    @Test
    void othersCannotRead() throws IOException {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 1 << 20);
        try (RegionWriter writer = regions.reserve("x", 5).orElseThrow()) {
            assertThat(permissions(Path.of(writer.payload().path()))).isEqualTo("rw-------");
        }
        assertThat(permissions(temp.resolve("r"))).isEqualTo("rwx------");
    }

    private static String permissions(Path path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
    }

    @Test
    void aFullQuotaMeansNotNow() throws IOException {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 3 * 4096);
        RegionWriter first = regions.reserve("a", 4096).orElseThrow();
        assertThat(regions.reserve("b", 4096)).isEmpty();
        Optional<RegionWriter> exact = regions.reserve("b", 0);
        assertThat(exact).isPresent();
        exact.get().discard();

        first.close();
        RegionDirectory.release(first.payload());

        assertThat(regions.usedBytes()).isZero();
        assertThat(regions.reserve("b", 4096)).isPresent();
        // A second look at the directory sees the same use.
        assertThat(new RegionDirectory(temp.resolve("r"), 3 * 4096).reserve("c", 4096)).isEmpty();
    }

    /** As one does whose task is cancelled, after its trainer has written the next update. */
    @Test
    void aThreadThatIsInterruptedDeletesNothingThatItCannotRead() throws IOException {
        JobDirectory job = JobDirectory.of(temp.resolve("r"), "job");
        RegionDirectory regions = job.regions(1 << 20);
        PayloadRef next;
        try (RegionWriter writer =
                regions.reserve(JobDirectory.updateName(3, UUID.randomUUID()), 5).orElseThrow()) {
            writer.write(0, ByteBuffer.wrap(new byte[5]));
            writer.publish(0, "{}");
            next = writer.payload();
        }
        PayloadRef before = new PayloadRef(next.path(), next.offset(), next.length(), 0);
        for (Runnable deed :
                List.<Runnable>of(
                        () -> RegionDirectory.release(before),
                        () -> job.discard(3),
                        () -> job.discardUnfinished(3))) {
            Thread.currentThread().interrupt();
            try {
                deed.run();
            } finally {
                assertThat(Thread.interrupted()).isTrue();
            }
            assertThat(Path.of(next.path())).exists();
        }
    }

    @Test
    void releasingTwiceOrAForeignFileDoesNothing() throws IOException {
        Path foreign = Files.writeString(temp.resolve("mine"), "x");
        RegionDirectory.release(new PayloadRef(foreign.toString(), 0, 1, 0));
        assertThat(foreign).exists();
        PayloadRef gone = new PayloadRef(temp.resolve("gone").toString(), 4096, 1, 1);
        RegionDirectory.release(gone);
        RegionDirectory.release(gone);
    }

    @Test
    void aFullFileSystemMeansNotNow() throws Exception {
        // Room for two on the file system, whatever the quota says.
        Path mount = Files.createDirectories(temp.resolve("small"));
        Assumptions.assumeTrue(
                run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount.toString()) == 0,
                "needs root to mount a small file system");
        try {
            RegionDirectory regions = new RegionDirectory(mount.resolve("r"), 1 << 30);
            regions.reserve("a", 100_000).orElseThrow().close();
            regions.own("b", 100_000).orElseThrow().close();
            assertThat(regions.reserve("c", 100_000)).isEmpty();
            assertThat(regions.own("c", 100_000)).isEmpty();
            assertThat(regions.list()).hasSize(2);
        } finally {
            // This process shows in it that it lives.
            run("umount", "--lazy", mount.toString());
        }
    }

    private static int run(String... command) throws Exception {
        return new ProcessBuilder(command).inheritIO().start().waitFor();
    }

    @Test
    void anOwnerWritesInPlaceAndTakesBack() throws IOException {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 1 << 20);
        try (OwnedRegion region = regions.own("sub/x", 8).orElseThrow()) {
            PayloadRef first = use(region, 7);
            assertThat(region.released()).isFalse();
            RegionDirectory.release(first);
            assertThat(region.released()).isTrue();
            assertThat(region.file()).exists();

            region.reuse(8);
            PayloadRef second = use(region, 8);
            RegionDirectory.release(first);
            assertThat(region.released()).as("a late release of an earlier generation").isFalse();
            try (MappedFile mapped = MappedFile.open(second)) {
                assertThat(mapped.slice(0, 8).getLong()).isEqualTo(8);
            }
            RegionDirectory.release(second);
            assertThat(region.released()).isTrue();
        }
    }

    private static PayloadRef use(OwnedRegion region, long value) {
        region.memory().slice(0, 8).putLong(value);
        region.publish("{}");
        return region.payload();
    }

    @Test
    void whatTheDeadLeftIsReaped() throws Exception {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 1 << 20);
        Path mine = Path.of(regions.reserve("mine", 8).orElseThrow().payload().path());
        Path writing = Path.of(regions.reserve("writing", 8).orElseThrow().payload().path());
        RegionWriter writer = regions.reserve("ready", 8).orElseThrow();
        writer.publish(0, "{}");
        Path ready = Path.of(writer.payload().path());
        Path rubbish = Files.writeString(temp.resolve("r/rubbish.region"), "?");
        for (Path file : List.of(writing, ready)) {
            belongsToTheDead(file);
        }

        assertThat(RegionDirectory.reap(temp, Duration.ofHours(1))).containsExactly(writing);
        assertThat(RegionDirectory.reap(temp, Duration.ZERO))
                .containsExactlyInAnyOrder(ready, rubbish);
        assertThat(regions.list()).containsExactly(mine);
    }

    /** A process that is not there. */
    private static void belongsToTheDead(Path file) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(40, 1);
        Files.write(file, bytes);
    }

    @Test
    void aDamagedHeaderSaysWhatIsWrong() throws IOException {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 1 << 20);
        RegionWriter writer = regions.reserve("x", 1000).orElseThrow();
        writer.publish(0, "{}");
        Path file = Path.of(writer.payload().path());
        byte[] good = Files.readAllBytes(file);

        assertDamaged(file, Arrays.copyOf(good, 4095), "it has 4095 bytes, a header has 4096");
        assertDamaged(file, Arrays.copyOf(good, 5000), "the file has 5000; it was truncated");
        assertDamaged(file, with(good, 0, 'X'), "not with TRIBUTRY");
        assertDamaged(file, with(good, 8, 9), "version 9, expected 3");
        assertDamaged(file, with(good, 16, 77), "state 77");
        assertDamaged(file, with(good, 31, 0x80), "length -");
        assertDamaged(file, with(good, 39, 0x7f), "of description");
        Files.delete(file);
        assertThatThrownBy(() -> RegionHeader.read(file))
                .isInstanceOfSatisfying(
                        RejectedException.class,
                        e -> assertThat(e.reason()).isEqualTo(RejectReason.PAYLOAD_LOST));
    }

    private static byte[] with(byte[] good, int at, int value) {
        byte[] bad = good.clone();
        bad[at] = (byte) value;
        return bad;
    }

    private static void assertDamaged(Path file, byte[] bytes, String text) throws IOException {
        Files.write(file, bytes);
        assertThatThrownBy(() -> RegionHeader.read(file))
                .hasMessageContaining("is damaged")
                .hasMessageContaining(text)
                .isInstanceOfSatisfying(
                        RejectedException.class,
                        e -> assertThat(e.reason()).isEqualTo(RejectReason.MALFORMED));
    }

    @Test
    void writesStayInside() throws IOException {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 1 << 20);
        try (RegionWriter writer = regions.reserve("x", 5).orElseThrow()) {
            assertThatThrownBy(() -> writer.write(3, ByteBuffer.allocate(3)))
                    .isInstanceOf(IndexOutOfBoundsException.class)
                    .hasMessageContaining("bytes 3 to 6 of a payload of 5");
            assertThatThrownBy(() -> writer.publish(0, "x".repeat(4025)))
                    .hasMessageContaining("at most 4024 bytes, this one has 4025");
        }
    }

    /** Issue 13, item 5. */
    @Test
    void aDirectoryThatSomebodyElseMayChangeIsNotUsed() throws Exception {
        Path link = Files.createSymbolicLink(temp.resolve("link"), temp);
        assertThatThrownBy(() -> new RegionDirectory(link, 1 << 20))
                .hasMessageContaining(link + " cannot be used; choose another: it is a link");

        Path open = Files.createDirectory(temp.resolve("open"));
        Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwxrwxrwx"));
        assertThatThrownBy(() -> new RegionDirectory(open, 1 << 20))
                .hasMessageContaining("others may write to it");
        RegionDirectory below = new RegionDirectory(open.resolve("own"), 1 << 20);
        assertThat(below.reserve("a", 8)).isPresent();

        Assumptions.assumeTrue(TrustedDirectory.user() == 0, "only root can give a directory away");
        Path foreign = Files.createDirectory(temp.resolve("foreign"));
        Files.setAttribute(foreign, "unix:uid", 65534);
        assertThatThrownBy(() -> new RegionDirectory(foreign, 1 << 20))
                .hasMessageContaining("it belongs to user 65534, expected 0");
    }

    @Test
    void whatLiesBesideRegionsCountsToo() throws IOException {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 3 * 4096);
        Files.write(temp.resolve("r/status.jsonl"), new byte[4096]);
        assertThat(regions.usedBytes()).isEqualTo(4096);
        assertThat(regions.reserve("a", 4097)).isEmpty();
        assertThat(regions.reserve("a", 4096)).isPresent();
    }

    @Test
    void aLogIsPutAsideWhenItIsLong() throws IOException {
        Path log = temp.resolve("r/status.jsonl");
        for (int i = 0; i < 1000; i++) {
            JobDirectory.append(log, "line " + i, 1000);
        }
        assertThat(Files.size(log)).isLessThan(1100);
        assertThat(Files.size(JobDirectory.former(log))).isBetween(1000L, 1100L);
        List<String> lines = new ArrayList<>(Files.readAllLines(JobDirectory.former(log)));
        lines.addAll(Files.readAllLines(log));
        assertThat(lines).endsWith("\"line 998\"", "\"line 999\"").doesNotHaveDuplicates();

        Files.write(log, new byte[5000]);
        JobDirectory.append(log, "anew", 1000);
        assertThat(log).as("of a time without bounds").hasContent("\"anew\"");
        assertThat(JobDirectory.former(log)).doesNotExist();
    }

    /** A mapping that somebody keeps holds the memory of a file that is deleted. */
    @Test
    void whatIsGivenUpIsFreeAtOnceThoughSomebodyKeepsAView() throws IOException {
        Path shm = Files.createTempDirectory(Path.of("/dev/shm"), "given-up-");
        try {
            RegionDirectory regions = new RegionDirectory(shm, 1 << 30);
            long before = Files.getFileStore(shm).getUsableSpace();
            OwnedRegion region = regions.lend("x", 64 << 20).orElseThrow();
            ByteBuffer view = region.memory().slice(1 << 20, 8);
            view.put(0, (byte) 7);
            assertThat(before - Files.getFileStore(shm).getUsableSpace()).isGreaterThan(60 << 20);

            region.giveUp();

            assertThat(before - Files.getFileStore(shm).getUsableSpace()).isLessThan(20 << 20);
            assertThat(view.get(0)).isZero();
            assertThat(region.file()).doesNotExist();
        } finally {
            try (Stream<Path> files = Files.walk(shm)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    @Test
    void aRequestForRoomLastsAsLongAsItsProcessWaits() throws IOException {
        JobDirectory job = JobDirectory.of(temp.resolve("r"), "job");
        assertThat(RoomRequest.pending(job)).isFalse();
        try (RoomRequest ignored = new RoomRequest(job)) {
            assertThat(RoomRequest.pending(job)).isTrue();
            Path dead =
                    Files.writeString(
                            job.path().resolve("wanted/dead.json"),
                            "{\"owner\":{\"process\":\"%s\",\"pid\":1}}"
                                    .formatted(UUID.randomUUID()));
            Path garbage = Files.writeString(job.path().resolve("wanted/x.json"), "garbage");
            assertThat(RoomRequest.pending(job)).isTrue();
            ignored.close();
            assertThat(RoomRequest.pending(job)).as("the others are of nobody").isFalse();
            ignored.repeat();
            assertThat(RoomRequest.pending(job)).isTrue();
            assertThat(dead).doesNotExist();
            assertThat(garbage).as("it cannot be told whose it is").exists();
        }
    }
}
