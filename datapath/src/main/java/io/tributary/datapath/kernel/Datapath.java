// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.Memory;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.datapath.network.Shape;
import io.tributary.node.bpf.BpfObject;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
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

    private static final int SETTING_BYTES = 4 + 2 * 1024;

    private final PinDirectory directory;
    private final Pins pins;
    private final Shape shape;
    private final NetworkTable table;
    private final Choice choice;
    private final boolean congestionControl;

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

    private Datapath(PinDirectory directory) throws IOException {
        this.directory = directory;
        this.pins = new Pins(directory.path());
        try {
            int networks =
                    pins.map(PolicyProgram.NETWORKS, NetworkLayout.BYTES, NetworkLayout.SLOTS);
            int setting = pins.map(PinDirectory.SETTING, SETTING_BYTES, 1);
            int choices = pins.map(PolicyProgram.CHOICES, Choice.VALUE_BYTES, 1);
            this.table = new NetworkTable(pins.bpf(), networks, pins.get(PolicyProgram.PROBE));
            this.shape = shape(setting);
            this.congestionControl =
                    Files.exists(directory.path().resolve(PolicyProgram.CONGESTION_CONTROL));
            this.choice = Choice.of(choices);
        } catch (IOException | RuntimeException e) {
            pins.close();
            throw e;
        }
    }

    private Shape shape(int setting) throws IOException {
        Memory value = new Memory(SETTING_BYTES);
        BpfObject.check(
                "the shape cannot be read",
                pins.bpf().bpf_map_lookup_elem(setting, BpfObject.number(0), value));
        return Arrays.stream(Shape.values())
                .filter(its -> its.number() == value.getInt(0))
                .findFirst()
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "%s has a shape that this version does not know"
                                                .formatted(directory.path())));
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
        KernelRequirements.missing(congestionControl)
                .ifPresent(
                        why -> {
                            throw new IllegalStateException(why);
                        });
        if (congestionControl && shape != Shape.WIDE) {
            throw new IllegalArgumentException(
                    "the congestion control tells its network %d numbers, the shape %s takes fewer; load it with --shape wide"
                            .formatted(Sample.INPUTS, shape));
        }
        try (PinDirectory pinned = PinDirectory.lock(directory)) {
            pinned.fill(part -> fill(part, shape, congestionControl));
        }
    }

    private static void fill(Path part, Shape shape, boolean congestionControl) throws IOException {
        try (PolicyProgram program = PolicyProgram.load(shape, congestionControl)) {
            int choices = program.object().map(PolicyProgram.CHOICES);
            try (Choice choice = Choice.of(choices)) {
                choice.clear();
            }
            pin(program, choices, part, PolicyProgram.CHOICES);
            int networks = program.object().map(PolicyProgram.NETWORKS);
            pin(program, networks, part, PolicyProgram.NETWORKS);
            pin(program, program.setting(), part, PinDirectory.SETTING);
            pin(program, program.probe(), part, PolicyProgram.PROBE);
            int samples = program.object().map(PolicyProgram.SAMPLES);
            pin(program, samples, part, PolicyProgram.SAMPLES);
            if (congestionControl) {
                // Whoever finds it pinned can take it out again.
                int operations = program.object().map(PolicyProgram.CONGESTION_CONTROL);
                pin(program, operations, part, PolicyProgram.CONGESTION_CONTROL);
                program.object().register(PolicyProgram.CONGESTION_CONTROL);
            }
        }
    }

    private static void pin(PolicyProgram program, int fd, Path directory, String name)
            throws IOException {
        Path pin = directory.resolve(name);
        BpfObject.check(
                "%s cannot be pinned".formatted(pin),
                program.object().bpf().bpf_obj_pin(fd, pin.toString()));
    }

    /**
     * Opens what is pinned.
     *
     * @throws IllegalArgumentException when nothing is
     */
    public static Datapath open(Path directory) throws IOException {
        PinDirectory pinned = PinDirectory.lock(directory);
        try {
            PinDirectory.requireLoaded(directory);
            return new Datapath(pinned);
        } catch (IOException | RuntimeException e) {
            pinned.close();
            throw e;
        }
    }

    /**
     * Takes the program out of the kernel.
     *
     * @throws IllegalArgumentException when nothing is loaded
     */
    public static void unload(Path directory) throws IOException {
        try (PinDirectory pinned = PinDirectory.lock(directory)) {
            pinned.empty();
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
                            .formatted(network.shape(), directory.path(), shape, network.shape()));
        }
        int inputs = network.layers().get(0).weights()[0].length;
        if (congestionControl && inputs != Sample.INPUTS) {
            throw new IllegalArgumentException(
                    "the network takes %d numbers, the congestion control tells it %d"
                            .formatted(inputs, Sample.INPUTS));
        }
        int slot = free();
        long id = id(network);
        table.put(slot, network, id);
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

    /**
     * A slot that nobody uses; one that was only installed is written over if there is no other.
     */
    private int free() throws IOException {
        List<Integer> used = slots().stream().map(Slot::number).toList();
        for (int slot = 0; slot < NetworkLayout.SLOTS; slot++) {
            if (!used.contains(slot)) {
                return slot;
            }
        }
        OptionalInt standby = choice.standby();
        if (standby.isPresent() && choice.flows(standby.getAsInt()) == 0) {
            choice.clearStandby();
            return standby.getAsInt();
        }
        throw new IllegalStateException(
                "no slot is free: connections use %d besides the active and the previous one; install it again when they have ended"
                        .formatted(used.size() - 2));
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
        pins.close();
        directory.close();
    }
}
