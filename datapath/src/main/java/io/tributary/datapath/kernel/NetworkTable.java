// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.Memory;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.node.bpf.BpfObject;
import io.tributary.node.bpf.LibBpf;
import java.io.IOException;
import java.util.Arrays;

/** The kernel's table of networks, and the program that runs one of them. Not thread-safe. */
final class NetworkTable {

    /** In place of a slot: the active one. */
    static final int ACTIVE = -1;

    /** {@code struct probe}: slot, inputs, outputs, rate. */
    private static final int INPUTS_AT = 2 * Integer.BYTES;

    private static final int OUTPUTS_AT = INPUTS_AT + NetworkLayout.INPUTS * Integer.BYTES;
    private static final int RATE_AT = OUTPUTS_AT + NetworkLayout.OUTPUTS * Integer.BYTES;
    private static final int PROBE_BYTES = RATE_AT + Long.BYTES;

    /** {@code struct bpf_test_run_opts}. */
    private static final int RUN_BYTES = 80;

    private static final int DATA_IN_AT = 8;
    private static final int DATA_OUT_AT = 16;
    private static final int SIZE_IN_AT = 24;
    private static final int SIZE_OUT_AT = 28;
    private static final int RESULT_AT = 56;
    private static final int REPEAT_AT = 60;
    private static final int NANOS_AT = 64;

    private final LibBpf bpf;
    private final int networks;
    private final int probe;

    /**
     * @param networks the descriptor of the map
     * @param probe that of the program
     */
    NetworkTable(LibBpf bpf, int networks, int probe) {
        this.bpf = bpf;
        this.networks = networks;
        this.probe = probe;
    }

    /**
     * Puts a network into a slot.
     *
     * @param slot 0 to 7
     * @param id by which it is known there
     */
    void put(int slot, IntegerNetwork network, long id) throws IOException {
        byte[] bytes = NetworkLayout.bytes(network, id);
        Memory value = new Memory(bytes.length);
        value.write(0, bytes, 0, bytes.length);
        BpfObject.check(
                "slot %d cannot be written".formatted(slot),
                bpf.bpf_map_update_elem(networks, BpfObject.number(slot), value, 0));
    }

    /** The id of the network in a slot. */
    long id(int slot) throws IOException {
        Memory value = new Memory(NetworkLayout.BYTES);
        BpfObject.check(
                "slot %d cannot be read".formatted(slot),
                bpf.bpf_map_lookup_elem(networks, BpfObject.number(slot), value));
        return value.getLong(0);
    }

    /**
     * What the kernel computes.
     *
     * @param slot 0 to 7, or {@link #ACTIVE}
     * @param inputs as many as the network has, each −32767 to 32767
     * @return as many outputs as there are in all networks, two
     */
    int[] infer(int slot, int[] inputs) throws IOException {
        Memory data = data(slot, inputs);
        run(probe, data, 1);
        return data.getIntArray(OUTPUTS_AT, NetworkLayout.OUTPUTS);
    }

    /** What the congestion control makes of a rate by a network's output. */
    long step(int slot, int[] inputs, long rate) throws IOException {
        Memory data = data(slot, inputs);
        data.setLong(RATE_AT, rate);
        run(probe, data, 1);
        return data.getLong(RATE_AT);
    }

    /**
     * Compares the kernel with the reference.
     *
     * @throws IllegalStateException when an output differs
     */
    void requireSame(int slot, IntegerNetwork network, int[] inputs) throws IOException {
        int[] expected = network.infer(inputs);
        int[] found = Arrays.copyOf(infer(slot, inputs), expected.length);
        if (!Arrays.equals(found, expected)) {
            throw new IllegalStateException(
                    "for the inputs %s the kernel computes %s, expected %s; please report this with the model"
                            .formatted(
                                    Arrays.toString(inputs),
                                    Arrays.toString(found),
                                    Arrays.toString(expected)));
        }
    }

    /** How long one run takes, in ns: the mean of many. */
    int nanos(int program, int slot, int[] inputs, int repeat) throws IOException {
        return run(program, data(slot, inputs), repeat);
    }

    private static Memory data(int slot, int[] inputs) {
        Memory data = new Memory(PROBE_BYTES);
        data.clear();
        data.setInt(0, slot);
        data.write(INPUTS_AT, Arrays.copyOf(inputs, NetworkLayout.INPUTS), 0, NetworkLayout.INPUTS);
        return data;
    }

    /** Runs a program on data in place of a packet, which it changes; returns the ns of one run. */
    private int run(int program, Memory data, int repeat) throws IOException {
        Memory options = new Memory(RUN_BYTES);
        options.clear();
        options.setLong(0, RUN_BYTES);
        options.setPointer(DATA_IN_AT, data);
        options.setPointer(DATA_OUT_AT, data);
        options.setInt(SIZE_IN_AT, PROBE_BYTES);
        options.setInt(SIZE_OUT_AT, PROBE_BYTES);
        options.setInt(REPEAT_AT, repeat);
        BpfObject.check(
                "the kernel does not run the program",
                bpf.bpf_prog_test_run_opts(program, options));
        if (options.getInt(RESULT_AT) != 0) {
            int slot = data.getInt(0);
            throw new IOException(
                    slot == ACTIVE ? "no network is active" : "the kernel has no slot " + slot);
        }
        return options.getInt(NANOS_AT);
    }
}
