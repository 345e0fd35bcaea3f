// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli;

import static io.tributary.protocol.tensor.SafetensorsHeader.tensor;
import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.testutils.Cli;
import io.tributary.datapath.kernel.KernelRequirements;
import io.tributary.datapath.network.Activation;
import io.tributary.datapath.network.Snapshot;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DatapathCommandTest {

    @TempDir Path temp;

    @BeforeEach
    void write() throws IOException {
        write(temp);
    }

    /** A model and inputs, as the page has them. */
    static void write(Path directory) throws IOException {
        Random random = new Random(3);
        write(
                directory.resolve("model.safetensors"),
                () -> random.nextGaussian() * 0.3,
                tensor("0.weight", DType.F32, 16, 8),
                tensor("0.bias", DType.F32, 16),
                tensor("2.weight", DType.F32, 8, 16),
                tensor("2.bias", DType.F32, 8),
                tensor("4.weight", DType.F32, 1, 8),
                tensor("4.bias", DType.F32, 1));
        write(
                directory.resolve("inputs.safetensors"),
                random::nextGaussian,
                tensor("inputs", DType.F32, 500, 8));
    }

    private static void write(Path file, DoubleSupplier values, TensorInfo... tensors)
            throws IOException {
        SafetensorsHeader header = SafetensorsHeader.create(List.of(tensors), Map.of());
        ByteBuffer bytes =
                ByteBuffer.allocate((int) header.fileLength())
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .put(header.bytes());
        while (bytes.hasRemaining()) {
            bytes.putFloat((float) values.getAsDouble());
        }
        Files.write(file, bytes.array());
    }

    private Cli snapshot(String... more) {
        String[] fixed = {
            "datapath", "snapshot", temp + "/model.safetensors", "--out", temp + "/snapshot"
        };
        return Cli.run(
                java.util.stream.Stream.of(fixed, more)
                        .flatMap(java.util.Arrays::stream)
                        .toArray(String[]::new));
    }

    @Test
    void aSnapshotIsMadeAndComparedWithTheKernel() throws IOException {
        Cli cli = snapshot("--inputs", temp + "/inputs.safetensors", "--activation", "tanh");
        assertThat(cli.err()).isEmpty();
        assertThat(cli.exit()).isZero();
        boolean kernel = KernelRequirements.missing(true).isEmpty();
        assertThat(cli.out().lines())
                .satisfiesExactly(
                        line ->
                                assertThat(line)
                                        .matches(
                                                "8→16→8→1, tanh: on 500 inputs the mean error is 0\\.00\\d\\d, the largest 0\\.0\\d+, where outputs are 0\\.\\d+ in the mean"),
                        line ->
                                assertThat(line)
                                        .matches(
                                                kernel
                                                        ? "the kernel computes the same bits on all 500 inputs, in \\d+ ns each"
                                                        : "not compared with the kernel: .*"),
                        line -> assertThat(line).isEqualTo("snapshot: " + temp + "/snapshot"));
        assertThat(Snapshot.read(temp.resolve("snapshot")).activation()).isEqualTo(Activation.TANH);
    }

    /** Each command is a process of its own for the kernel. */
    @Test
    void aSnapshotIsInstalledAndSwitchedAndRolledBack() throws Exception {
        boolean kernel =
                "root".equals(System.getProperty("user.name"))
                        && KernelRequirements.missing(true).isEmpty();
        Assumptions.assumeTrue(
                kernel || System.getenv("TRIBUTARY_REQUIRE_BPF") != null,
                "a BPF file system is mounted by root");
        assertThat(snapshot("--inputs", temp + "/inputs.safetensors").exit()).isZero();
        Path mount = Files.createDirectory(temp.resolve("bpf"));
        String dir = mount + "/tributary";
        assertThat(
                        new ProcessBuilder(
                                        "mount",
                                        "-t",
                                        "bpf",
                                        "-o",
                                        "mode=0700",
                                        "bpf",
                                        mount.toString())
                                .start()
                                .waitFor())
                .isZero();
        try {
            assertThat(datapath(dir, "status").err())
                    .isEqualTo(
                            "tributary: nothing is loaded at %s, or it cannot be seen by this user; use 'datapath load'%n"
                                    .formatted(dir));
            assertThat(datapath(dir, "load", "--shape", "narrow").out())
                    .isEqualTo("loaded at %s, for 8→16→8→2%n".formatted(dir));
            String standby = datapath(dir, "install", temp + "/snapshot").out();
            assertThat(standby).matches("standby   slot 0  network [0-9a-f]{16}  0 connections\\R");
            assertThat(datapath(dir, "switch").out())
                    .isEqualTo(standby.replace("standby ", "active  "));
            assertThat(datapath(dir, "rollback").err())
                    .startsWith("tributary: no network was active before");
            assertThat(datapath(dir, "install", temp + "/snapshot").exit()).isZero();
            assertThat(datapath(dir, "switch").out()).startsWith("active    slot 1  ");
            assertThat(datapath(dir, "rollback").out()).startsWith("active    slot 0  ");
            assertThat(datapath(dir, "status").out().lines())
                    .satisfiesExactly(
                            line ->
                                    assertThat(line)
                                            .isEqualTo(
                                                    "loaded at %s, for 8→16→8→2; 3 switches"
                                                            .formatted(dir)),
                            line -> assertThat(line).startsWith("active    slot 0  network "),
                            line -> assertThat(line).startsWith("previous  slot 1  network "));
            assertThat(datapath(dir, "install", temp + "/model.safetensors").err())
                    .contains("model.safetensors is no snapshot: ");
            assertThat(datapath(dir, "unload").out()).isEqualTo("unloaded: %s%n".formatted(dir));
            assertThat(datapath(dir, "unload").exit()).isEqualTo(2);
            assertThat(datapath(dir, "load", "--cc", "cubic").err())
                    .isEqualTo("tributary: --cc cubic: expected tributary%n".formatted());
            assertThat(datapath(dir, "load", "--cc", "tributary").out())
                    .isEqualTo(
                            "loaded at %s, for 32→32→16→2, with the congestion control tributary%n"
                                    .formatted(dir));
            assertThat(datapath(dir, "samples").out()).isEmpty();
            assertThat(datapath(dir, "samples").exit()).isZero();
            assertThat(datapath(dir, "unload").exit()).isZero();
            assertThat(datapath(dir, "samples").err())
                    .startsWith("tributary: nothing is loaded at ");
        } finally {
            // Or the congestion control would stay in the kernel, where nobody finds it.
            datapath(dir, "unload");
            new ProcessBuilder("umount", mount.toString()).start().waitFor();
        }
    }

    private static Cli datapath(String directory, String command, String... more) {
        List<String> all = new ArrayList<>(List.of("datapath", command, "--dir", directory));
        all.addAll(List.of(more));
        return Cli.run(all.toArray(String[]::new));
    }

    @Test
    void whatIsWrongIsSaidAndNothingIsWritten() throws IOException {
        Cli other = snapshot("--inputs", temp + "/model.safetensors");
        assertThat(other.exit()).isEqualTo(2);
        assertThat(other.err())
                .startsWith(
                        "tributary: %s/model.safetensors: expected a tensor 'inputs' of floats [N, 8], with N of 1 or more; it has [0.weight F32[16, 8], "
                                .formatted(temp));
        assertThat(snapshot("--inputs", temp + "/nothing").exit()).isEqualTo(2);
        Cli word = snapshot("--inputs", temp + "/inputs.safetensors", "--activation", "gelu");
        assertThat(word.exit()).isEqualTo(2);
        assertThat(word.err()).contains("gelu");
        assertThat(temp.resolve("snapshot")).doesNotExist();
        Cli nowhere =
                Cli.run(
                        "datapath",
                        "snapshot",
                        temp + "/model.safetensors",
                        "--inputs",
                        temp + "/inputs.safetensors",
                        "--out",
                        temp + "/none/snapshot");
        assertThat(nowhere.err())
                .isEqualTo(
                        "tributary: --out %s/none/snapshot: expected a file in a directory%n"
                                .formatted(temp));
    }
}
