// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.datapath.kernel.Datapath.Slot;
import io.tributary.datapath.kernel.Datapath.Use;
import io.tributary.datapath.network.Activation;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.datapath.network.Quantizer;
import io.tributary.datapath.network.Shape;
import io.tributary.datapath.network.TestNetworks;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** In a BPF file system of its own. Needs root. */
class DatapathTest {

    @TempDir static Path mount;

    @TempDir Path others;

    private final Path directory = mount.resolve("tributary");
    private final Random random = new Random(1);

    @BeforeAll
    static void mount() throws Exception {
        boolean root = "root".equals(System.getProperty("user.name"));
        if (System.getenv("TRIBUTARY_REQUIRE_BPF") == null) {
            Assumptions.assumeTrue(root, "a BPF file system is mounted by root");
            KernelRequirements.missing(true).ifPresent(Assumptions::abort);
        }
        assertThat(run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", mount.toString())).isZero();
    }

    @AfterAll
    static void unmount() throws Exception {
        run("umount", mount.toString());
    }

    private static int run(String... command) throws Exception {
        return new ProcessBuilder(command).inheritIO().start().waitFor();
    }

    @AfterEach
    void unload() throws IOException {
        if (Files.exists(directory)) {
            Datapath.unload(directory);
        }
    }

    private IntegerNetwork network(int inputs) {
        return Quantizer.quantize(
                TestNetworks.mlp(random, Activation.TANH, inputs, 16, 8, 2),
                TestNetworks.inputs(random, 5, inputs));
    }

    private static void requireActive(Datapath datapath, IntegerNetwork network)
            throws IOException {
        int[] x = {1000, -2000, 3000, -4000, 5000, -6000, 7000, -8000};
        assertThat(datapath.infer(x)).containsExactly(network.infer(x));
    }

    /** Each command is a process of its own, so each opens what is pinned. */
    @Test
    void networksAreInstalledAndSwitchedAndRolledBack() throws IOException {
        IntegerNetwork first = network(8);
        IntegerNetwork second = network(8);
        Datapath.load(directory, Shape.NARROW, false);
        try (Datapath datapath = Datapath.open(directory)) {
            assertThat(datapath.shape()).isEqualTo(Shape.NARROW);
            assertThat(datapath.slots()).isEmpty();
            assertThatThrownBy(() -> datapath.infer(new int[8]))
                    .isInstanceOf(IOException.class)
                    .hasMessage("no network is active");
            Slot installed = datapath.install(first);
            assertThat(datapath.slots()).containsExactly(installed);
            assertThat(installed.use()).isEqualTo(Use.STANDBY);
        }
        try (Datapath datapath = Datapath.open(directory)) {
            assertThat(datapath.activate().use()).isEqualTo(Use.ACTIVE);
            requireActive(datapath, first);
            assertThat(datapath.switches()).isEqualTo(1);
            datapath.install(second);
            requireActive(datapath, first);
        }
        try (Datapath datapath = Datapath.open(directory)) {
            Slot active = datapath.activate();
            requireActive(datapath, second);
            assertThat(datapath.slots())
                    .extracting(Slot::use)
                    .containsExactly(Use.ACTIVE, Use.PREVIOUS);
            Slot back = datapath.rollBack();
            requireActive(datapath, first);
            assertThat(back.number()).isNotEqualTo(active.number());
            assertThat(datapath.rollBack()).isEqualTo(active);
            requireActive(datapath, second);
            assertThat(datapath.switches()).isEqualTo(4);
        }
    }

    /** However many there were, those that may be needed again stay. */
    @Test
    void aSlotThatIsInUseIsNotWritten() throws IOException {
        Datapath.load(directory, Shape.WIDE, false);
        IntegerNetwork before = network(8);
        try (Datapath datapath = Datapath.open(directory)) {
            datapath.install(before);
            datapath.activate();
            for (int i = 0; i < 20; i++) {
                IntegerNetwork next = network(8);
                datapath.install(network(8));
                datapath.install(next);
                requireActive(datapath, before);
                datapath.activate();
                requireActive(datapath, next);
                datapath.rollBack();
                requireActive(datapath, before);
                datapath.rollBack();
                before = next;
            }
        }
    }

    /** Killed when it had pinned some, or had begun to take them away. */
    @Test
    void whatAKilledProcessHasLeftIsTakenAway() throws Exception {
        Path part = directory.resolveSibling("tributary-part");
        Datapath.load(directory, Shape.NARROW, false);
        Files.move(directory, part);
        Files.delete(part.resolve("probe"));
        Datapath.load(directory, Shape.NARROW, false);
        assertThat(part).doesNotExist();
        try (var pins = Files.list(directory)) {
            assertThat(pins).hasSize(5);
        }
        Files.move(directory, part);
        Datapath.unload(directory);
        assertThat(part).doesNotExist();
    }

    /** Root is not led to delete what somebody else has. */
    @Test
    void whatIsNotOursIsNotDeleted() throws Exception {
        Path file = Files.createFile(Files.createDirectory(others.resolve("theirs")).resolve("f"));
        Path part = directory.resolveSibling("tributary-part");
        Files.createSymbolicLink(part, file.getParent());
        assertThatThrownBy(() -> Datapath.load(directory, Shape.NARROW, false))
                .hasMessage(part + " is no directory of this user");
        assertThat(file).exists();
        Files.delete(part);
        Datapath.load(directory, Shape.NARROW, false);
        Path other = mount.resolve("other");
        Files.createDirectory(other);
        Files.move(directory.resolve("probe"), other.resolve("program"));
        assertThatThrownBy(() -> Datapath.unload(other))
                .hasMessage(
                        "%s has 'program', which Tributary has not pinned; give another --dir"
                                .formatted(other));
        Files.move(other.resolve("program"), directory.resolve("probe"));
        Files.delete(other);
    }

    @Test
    void aPlaceWhereOthersMayWriteIsRefused() throws Exception {
        assertThat(run("chmod", "1777", mount.toString())).isZero();
        try {
            assertThatThrownBy(() -> Datapath.load(directory, Shape.NARROW, false))
                    .hasMessage(
                            "other users may write to %s, and could take what is pinned there; let root close it: chmod 0700 %s"
                                    .formatted(mount, mount));
        } finally {
            assertThat(run("chmod", "0700", mount.toString())).isZero();
        }
    }

    /** Killed after the switch, and before it was noted that nothing waits any more. */
    @Test
    void aSwitchThatWasCutOffIsNotMadeTwice() throws IOException {
        IntegerNetwork first = network(8);
        IntegerNetwork second = network(8);
        Datapath.load(directory, Shape.NARROW, false);
        try (Datapath datapath = Datapath.open(directory)) {
            datapath.install(first);
            datapath.activate();
            Slot standby = datapath.install(second);
            datapath.activate();
            datapath.cutOff(standby.number());
        }
        try (Datapath datapath = Datapath.open(directory)) {
            datapath.activate();
            requireActive(datapath, second);
            datapath.rollBack();
            requireActive(datapath, first);
        }
    }

    @Test
    void whatCannotBeIsSaid() throws IOException {
        assertThatThrownBy(() -> Datapath.open(directory))
                .hasMessage(
                        "nothing is loaded at %s, or it cannot be seen by this user; use 'datapath load'"
                                .formatted(directory));
        assertThatThrownBy(() -> Datapath.unload(directory))
                .hasMessageStartingWith("nothing is loaded at ");
        Datapath.load(directory, Shape.NARROW, false);
        assertThatThrownBy(() -> Datapath.load(directory, Shape.NARROW, false))
                .hasMessage(directory + " is there already; unload it first");
        try (Datapath datapath = Datapath.open(directory)) {
            assertThatThrownBy(datapath::activate)
                    .hasMessageStartingWith("no network is installed that is not active yet");
            assertThatThrownBy(datapath::rollBack)
                    .hasMessageStartingWith("no network was active before");
            assertThatThrownBy(() -> datapath.install(network(9)))
                    .hasMessage(
                            "the network needs the shape medium, %s has narrow; unload it, and load it with --shape medium"
                                    .formatted(directory));
        }
        assertThatThrownBy(() -> Datapath.load(Path.of("/proc/tributary"), Shape.NARROW, false))
                .hasMessage(
                        "/proc is no BPF file system; let root mount one: mount -t bpf -o mode=0700 bpf /proc");
    }

    @Test
    void whoChangesItFirstIsWaitedFor() throws Exception {
        Datapath.load(directory, Shape.NARROW, false);
        Thread other;
        try (Datapath datapath = Datapath.open(directory)) {
            other =
                    new Thread(
                            () -> {
                                try (Datapath its = Datapath.open(directory)) {
                                    its.install(network(8));
                                } catch (IOException e) {
                                    throw new IllegalStateException(e);
                                }
                            });
            other.start();
            other.join(300);
            assertThat(other.isAlive()).isTrue();
            assertThat(datapath.slots()).isEmpty();
        }
        other.join(TimeUnit.SECONDS.toMillis(30));
        try (Datapath datapath = Datapath.open(directory)) {
            assertThat(datapath.slots()).hasSize(1);
        }
    }

    @Test
    void anUnloadedProgramIsGone() throws IOException {
        Datapath.load(directory, Shape.NARROW, false);
        Datapath.unload(directory);
        assertThat(List.of(mount.toFile().list())).noneMatch(name -> name.startsWith("tributary"));
    }
}
