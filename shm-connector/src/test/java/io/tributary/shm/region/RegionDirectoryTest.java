// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.region;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.message.PayloadRef;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Optional;
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
        assertThat(file.getInt(8)).isEqualTo(1);
        assertThat(file.getInt(12)).isEqualTo(2);
        assertThat(file.getLong(16)).isEqualTo(5);
        assertThat(file.getInt(24)).isEqualTo(0xCAFE);
        assertThat(file.getInt(28)).isEqualTo(7);
        assertThat(file.getLong(32)).isEqualTo(ProcessHandle.current().pid());
        assertThat(file.getLong(40)).isPositive();
        byte[] description = new byte[7];
        file.get(64, description);
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

    @Test
    void releasingTwiceOrAForeignFileDoesNothing() throws IOException {
        Path foreign = Files.writeString(temp.resolve("mine"), "x");
        RegionDirectory.release(new PayloadRef(foreign.toString(), 0, 1, false));
        assertThat(foreign).exists();
        PayloadRef gone = new PayloadRef(temp.resolve("gone").toString(), 4096, 1, true);
        RegionDirectory.release(gone);
        RegionDirectory.release(gone);
    }

    @Test
    void writesStayInside() throws IOException {
        RegionDirectory regions = new RegionDirectory(temp.resolve("r"), 1 << 20);
        try (RegionWriter writer = regions.reserve("x", 5).orElseThrow()) {
            assertThatThrownBy(() -> writer.write(3, ByteBuffer.allocate(3)))
                    .isInstanceOf(IndexOutOfBoundsException.class)
                    .hasMessageContaining("bytes 3 to 6 of a payload of 5");
            assertThatThrownBy(() -> writer.publish(0, "x".repeat(4033)))
                    .hasMessageContaining("at most 4032 bytes, this one has 4033");
        }
    }
}
