// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.datapath.network.Shape;
import io.tributary.memory.os.LibC;
import io.tributary.node.bpf.BpfObject;
import io.tributary.node.bpf.LibBpf;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;

/**
 * The networks of this host's kernel. They are pinned in a BPF file system, so they are there until
 * they are unloaded, whatever becomes of the process that has loaded them. One process at a time
 * changes them; others wait for it. Not thread-safe.
 */
public final class Datapath implements AutoCloseable {

    /** Where they are pinned. */
    public static final String DIRECTORY = "/sys/fs/bpf/tributary";

    /** The congestion control's name. */
    public static final String CONGESTION_CONTROL = PolicyProgram.CONGESTION_CONTROL;

    /** On how many inputs a network is compared with the reference before it may be active. */
    private static final int COMPARED = 256;

    private static final String SETTING = "setting";
    private static final int SETTING_BYTES = 4 + 2 * 1024;

    private final LibBpf bpf;
    private final Path directory;
    private final int lock;
    private final List<Integer> descriptors;
    private final Shape shape;
    private final NetworkTable table;
    private final Choice choice;

    /** What a slot is for. */
    public enum Use {
        ACTIVE,
        PREVIOUS,
        STANDBY,
        /** Connections use it that began with it. */
        OLD
    }

    /**
     * A slot in use.
     *
     * @param number 0 to 7
     * @param use what for
     * @param id of its network
     * @param flows connections that use it
     */
    public record Slot(int number, Use use, String id, int flows) {}

    private Datapath(LibBpf bpf, Path directory, int lock) throws IOException {
        this.bpf = bpf;
        this.directory = directory;
        this.lock = lock;
        this.descriptors = new ArrayList<>();
        int networks = get(PolicyProgram.NETWORKS);
        int probe = get(PolicyProgram.PROBE);
        this.table = new NetworkTable(bpf, networks, probe);
        this.shape = shape(get(SETTING));
        this.choice = Choice.of(get(PolicyProgram.CHOICES));
    }

    private int get(String pin) throws IOException {
        int fd = bpf.bpf_obj_get(directory.resolve(pin).toString());
        BpfObject.check("%s cannot be opened".formatted(directory.resolve(pin)), fd);
        descriptors.add(fd);
        return fd;
    }

    private Shape shape(int setting) throws IOException {
        Memory value = new Memory(SETTING_BYTES);
        BpfObject.check(
                "the shape cannot be read",
                bpf.bpf_map_lookup_elem(setting, BpfObject.number(0), value));
        return Arrays.stream(Shape.values())
                .filter(its -> its.number() == value.getInt(0))
                .findFirst()
                .orElseThrow(
                        () ->
                                new IllegalStateException(
                                        "%s is of another version of Tributary; unload it with that one"
                                                .formatted(directory)));
    }

    /**
     * Puts the program into the kernel, without a network. All of it is there afterwards, or
     * nothing.
     *
     * @param directory in a BPF file system, not there yet
     * @param congestionControl whether connections may choose the congestion control {@code
     *     tributary}; there is one in a kernel
     * @throws IllegalArgumentException when it is there, or no BPF file system is
     * @throws IOException with what the kernel has against it
     */
    public static void load(Path directory, Shape shape, boolean congestionControl)
            throws IOException {
        int lock = lock(directory);
        try {
            if (Files.exists(directory)) {
                throw new IllegalArgumentException(
                        "%s is there already; unload it first".formatted(directory));
            }
            Path part = directory.resolveSibling(directory.getFileName() + "-part");
            delete(part);
            Files.createDirectory(part);
            try (PolicyProgram program = PolicyProgram.load(shape, congestionControl)) {
                int choices = program.object().map(PolicyProgram.CHOICES);
                try (Choice choice = Choice.of(choices)) {
                    choice.clear();
                }
                pin(program, choices, part, PolicyProgram.CHOICES);
                int networks = program.object().map(PolicyProgram.NETWORKS);
                pin(program, networks, part, PolicyProgram.NETWORKS);
                pin(program, program.setting(), part, SETTING);
                pin(program, program.probe(), part, PolicyProgram.PROBE);
                int samples = program.object().map(PolicyProgram.SAMPLES);
                pin(program, samples, part, PolicyProgram.SAMPLES);
                if (congestionControl) {
                    // Whoever finds it pinned can take it out again.
                    int operations = program.object().map(PolicyProgram.CONGESTION_CONTROL);
                    pin(program, operations, part, PolicyProgram.CONGESTION_CONTROL);
                    program.object().register(PolicyProgram.CONGESTION_CONTROL);
                }
                Files.move(part, directory, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                delete(part);
            }
        } finally {
            LibC.INSTANCE.close(lock);
        }
    }

    private static void pin(PolicyProgram program, int fd, Path directory, String name)
            throws IOException {
        Path pin = directory.resolve(name);
        BpfObject.check(
                "%s cannot be pinned".formatted(pin),
                program.object().bpf().bpf_obj_pin(fd, pin.toString()));
    }

    private static void delete(Path directory) throws IOException {
        if (Files.exists(directory)) {
            unregister(directory.resolve(PolicyProgram.CONGESTION_CONTROL));
            try (var pins = Files.list(directory)) {
                for (Path pin : pins.toList()) {
                    Files.delete(pin);
                }
            }
            Files.delete(directory);
        }
    }

    /** Connections that use it go on with it; others cannot choose it any more. */
    private static void unregister(Path pin) throws IOException {
        if (Files.exists(pin)) {
            LibBpf bpf = LibBpf.load();
            int fd = bpf.bpf_obj_get(pin.toString());
            BpfObject.check("%s cannot be opened".formatted(pin), fd);
            // It says ENOENT where it was never registered.
            bpf.bpf_map_delete_elem(fd, BpfObject.number(0));
            LibC.INSTANCE.close(fd);
        }
    }

    /** Waits until no other process changes what is pinned there. */
    private static int lock(Path directory) throws IOException {
        Path parent = directory.toAbsolutePath().getParent();
        boolean bpffs =
                Files.isDirectory(parent) && Files.getFileStore(parent).type().equals("bpf");
        if (!bpffs) {
            throw new IllegalArgumentException(
                    "%s is no BPF file system; let root mount one: mount -t bpf bpf %s"
                            .formatted(parent, parent));
        }
        int fd = LibC.INSTANCE.open(parent.toString(), LibC.O_DIRECTORY | LibC.O_CLOEXEC, 0);
        if (fd < 0) {
            throw BpfObject.error("%s cannot be opened".formatted(parent), Native.getLastError());
        }
        LibC.INSTANCE.flock(fd, LibC.LOCK_EX);
        return fd;
    }

    /**
     * Opens what is pinned.
     *
     * @throws IllegalArgumentException when nothing is
     */
    public static Datapath open(Path directory) throws IOException {
        int lock = lock(directory);
        try {
            requireLoaded(directory);
            return new Datapath(LibBpf.load(), directory, lock);
        } catch (IOException | RuntimeException e) {
            LibC.INSTANCE.close(lock);
            throw e;
        }
    }

    static void requireLoaded(Path directory) {
        if (!Files.exists(directory)) {
            throw new IllegalArgumentException(
                    "nothing is loaded at %s; use 'datapath load'".formatted(directory));
        }
    }

    /**
     * Takes the program out of the kernel.
     *
     * @throws IllegalArgumentException when nothing is loaded
     */
    public static void unload(Path directory) throws IOException {
        int lock = lock(directory);
        try {
            requireLoaded(directory);
            delete(directory);
        } finally {
            LibC.INSTANCE.close(lock);
        }
    }

    /** The shape that it computes. */
    public Shape shape() {
        return shape;
    }

    /** The slots in use, the active one first. */
    public List<Slot> slots() throws IOException {
        List<Slot> slots = new ArrayList<>();
        add(slots, choice.active(), Use.ACTIVE);
        add(slots, choice.previous(), Use.PREVIOUS);
        add(slots, choice.standby(), Use.STANDBY);
        for (int slot = 0; slot < NetworkLayout.SLOTS; slot++) {
            int number = slot;
            boolean known = slots.stream().anyMatch(its -> its.number() == number);
            if (!known && choice.flows(slot) > 0) {
                add(slots, OptionalInt.of(slot), Use.OLD);
            }
        }
        return slots;
    }

    private void add(List<Slot> slots, OptionalInt slot, Use use) throws IOException {
        if (slot.isPresent()) {
            slots.add(slot(slot.getAsInt(), use));
        }
    }

    private Slot slot(int number, Use use) throws IOException {
        return new Slot(number, use, text(table.id(number)), choice.flows(number));
    }

    /** A network's id. */
    static String text(long id) {
        return "%016x".formatted(id);
    }

    /** How many times the active network has changed. */
    public long switches() {
        return choice.switches();
    }

    /**
     * Writes a network into a slot that is not in use, and compares what the kernel computes with
     * the reference. It is the next to become active.
     *
     * @return where it is
     * @throws IllegalArgumentException when it needs a larger shape
     * @throws IllegalStateException when the kernel computes something else
     */
    public Slot install(IntegerNetwork network) throws IOException {
        if (network.shape().compareTo(shape) > 0) {
            throw new IllegalArgumentException(
                    "the network needs the shape %s, %s has %s; unload it, and load it with --shape %s"
                            .formatted(network.shape(), directory, shape, network.shape()));
        }
        int slot = free();
        long id = id(network);
        table.put(slot, network, id);
        int inputs = network.layers().get(0).weights()[0].length;
        Random random = new Random(id);
        for (int i = 0; i < COMPARED; i++) {
            // A quarter of them at the ends, where a lane is fullest.
            boolean ends = i % 4 == 0;
            int[] x =
                    random.ints(inputs, -IntegerNetwork.MOST, IntegerNetwork.MOST + 1)
                            .map(
                                    v ->
                                            !ends
                                                    ? v
                                                    : v < 0
                                                            ? -IntegerNetwork.MOST
                                                            : IntegerNetwork.MOST)
                            .toArray();
            table.requireSame(slot, network, x);
        }
        choice.stand(slot);
        return slot(slot, Use.STANDBY);
    }

    private int free() throws IOException {
        List<Integer> used = slots().stream().map(Slot::number).toList();
        for (int slot = 0; slot < NetworkLayout.SLOTS; slot++) {
            if (!used.contains(slot)) {
                return slot;
            }
        }
        throw new IllegalStateException(
                "connections use all slots; install it again when some of them have ended");
    }

    /** The first 8 bytes of the SHA-256 of what a slot has. */
    private static long id(IntegerNetwork network) {
        try {
            byte[] hash =
                    MessageDigest.getInstance("SHA-256").digest(NetworkLayout.bytes(network, 0));
            return ByteBuffer.wrap(hash).getLong();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /**
     * Makes the network that was installed last the active one.
     *
     * @return the active slot
     * @throws IllegalArgumentException when none was installed
     */
    public Slot activate() throws IOException {
        int standby =
                choice.standby()
                        .orElseThrow(
                                () ->
                                        new IllegalArgumentException(
                                                "no network is installed that is not active yet; use 'datapath install'"));
        if (!choice.active().equals(OptionalInt.of(standby))) {
            choice.activate(standby);
        }
        choice.clearStandby();
        return slots().get(0);
    }

    /**
     * Makes the network of before the active one again.
     *
     * @return the active slot
     * @throws IllegalArgumentException when there was none
     */
    public Slot rollBack() throws IOException {
        int previous =
                choice.previous()
                        .orElseThrow(
                                () ->
                                        new IllegalArgumentException(
                                                "no network was active before; there is nothing to go back to"));
        choice.activate(previous);
        return slots().get(0);
    }

    /** As if the process had been killed after it had made a slot active; for tests. */
    void cutOff(int slot) {
        choice.stand(slot);
    }

    /** What the active network computes; for tests. */
    int[] infer(int[] inputs) throws IOException {
        return table.infer(NetworkTable.ACTIVE, inputs);
    }

    @Override
    public void close() {
        choice.close();
        descriptors.forEach(LibC.INSTANCE::close);
        LibC.INSTANCE.close(lock);
    }
}
