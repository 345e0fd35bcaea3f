// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.datapath.network.Shape;
import io.tributary.node.bpf.BpfObject;
import java.io.IOException;
import java.util.Arrays;

/**
 * The kernel's program that computes networks, with a table of its own. It is in the kernel for as
 * long as this is open, and nothing runs it but this. Not thread-safe.
 */
public final class PolicyProgram implements AutoCloseable {

    /** The object's place in the jar. */
    private static final String OBJECT = "/io/tributary/datapath/kernel/policy.bpf.o";

    private static final String SETTING = ".rodata.setting";

    /** {@code struct probe}: slot, inputs, outputs. */
    private static final int INPUTS_AT = 2 * Integer.BYTES;

    private static final int OUTPUTS_AT = INPUTS_AT + NetworkLayout.INPUTS * Integer.BYTES;
    private static final int PROBE_BYTES = OUTPUTS_AT + NetworkLayout.OUTPUTS * Integer.BYTES;

    /** {@code struct bpf_test_run_opts}. */
    private static final int RUN_BYTES = 80;

    private static final int DATA_IN_AT = 8;
    private static final int DATA_OUT_AT = 16;
    private static final int SIZE_IN_AT = 24;
    private static final int SIZE_OUT_AT = 28;
    private static final int RESULT_AT = 56;
    private static final int REPEAT_AT = 60;
    private static final int NANOS_AT = 64;

    /** {@code struct bpf_prog_info}, as far as it is read. */
    private static final int INFO_BYTES = 224;

    private static final int VERIFIED_AT = 216;

    private final BpfObject object;
    private final Shape shape;

    private PolicyProgram(BpfObject object, Shape shape) {
        this.object = object;
        this.shape = shape;
    }

    /**
     * Puts the program into the kernel, for networks of one shape.
     *
     * @throws IOException with what the kernel has against it
     */
    public static PolicyProgram load(Shape shape) throws IOException {
        BpfObject object = BpfObject.open(PolicyProgram.class, OBJECT, "policy");
        try {
            object.initialize(SETTING, setting(shape));
            object.load();
            return new PolicyProgram(object, shape);
        } catch (IOException e) {
            object.close();
            throw e;
        }
    }

    private static Memory setting(Shape shape) {
        short[] tanh = IntegerNetwork.tanh();
        Memory setting = new Memory(Integer.BYTES + (long) tanh.length * Short.BYTES);
        setting.setInt(0, shape.number());
        setting.write(Integer.BYTES, tanh, 0, tanh.length);
        return setting;
    }

    /**
     * Puts a network into a slot.
     *
     * @param slot 0 to 7
     * @param id by which it is known there
     */
    public void put(int slot, IntegerNetwork network, long id) throws IOException {
        if (network.shape().compareTo(shape) > 0) {
            throw new IllegalArgumentException(
                    "the network needs the shape %s, the program has %s"
                            .formatted(network.shape(), shape));
        }
        byte[] bytes = NetworkLayout.bytes(network, id);
        Memory value = new Memory(bytes.length);
        value.write(0, bytes, 0, bytes.length);
        BpfObject.check(
                "slot %d cannot be written".formatted(slot),
                object.bpf()
                        .bpf_map_update_elem(
                                object.map("networks"), BpfObject.number(slot), value, 0));
    }

    /**
     * What the kernel computes.
     *
     * @param inputs as many as the network has, each −32767 to 32767
     * @return as many outputs as there are in all networks, two
     */
    public int[] infer(int slot, int[] inputs) throws IOException {
        Memory data = data(slot, inputs);
        run("probe", data, 1);
        return data.getIntArray(OUTPUTS_AT, NetworkLayout.OUTPUTS);
    }

    /** How long one inference takes, in ns: the mean of many, without what running costs anyway. */
    public int nanos(int slot, int[] inputs, int repeat) throws IOException {
        return run("probe", data(slot, inputs), repeat)
                - run("nothing", data(slot, inputs), repeat);
    }

    private static Memory data(int slot, int[] inputs) {
        Memory data = new Memory(PROBE_BYTES);
        data.clear();
        data.setInt(0, slot);
        data.write(INPUTS_AT, Arrays.copyOf(inputs, NetworkLayout.INPUTS), 0, NetworkLayout.INPUTS);
        return data;
    }

    /** Runs a program on data in place of a packet, which it changes; returns the ns of one run. */
    private int run(String program, Memory data, int repeat) throws IOException {
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
                object.bpf().bpf_prog_test_run_opts(fd(program), options));
        if (options.getInt(RESULT_AT) != 0) {
            throw new IOException("the kernel has no slot " + data.getInt(0));
        }
        return options.getInt(NANOS_AT);
    }

    /** How many instructions the verifier has looked at. */
    public int verifiedInstructions() throws IOException {
        Memory info = new Memory(INFO_BYTES);
        info.clear();
        BpfObject.check(
                "the kernel says nothing of the program",
                object.bpf()
                        .bpf_obj_get_info_by_fd(fd("probe"), info, BpfObject.number(INFO_BYTES)));
        return info.getInt(VERIFIED_AT);
    }

    private int fd(String program) throws IOException {
        Pointer its = object.program(program);
        return object.bpf().bpf_program__fd(its);
    }

    @Override
    public void close() {
        object.close();
    }
}
