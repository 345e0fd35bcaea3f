// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.Memory;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.datapath.network.Shape;
import io.tributary.node.bpf.BpfObject;
import java.io.IOException;
import java.util.List;

/**
 * The kernel's program that computes networks, with a table of its own. It is in the kernel for as
 * long as this is open, unless it is pinned. Not thread-safe.
 */
final class PolicyProgram implements AutoCloseable {

    /** What the object has, by its names in bpf/policy.bpf.c. */
    static final String NETWORKS = "networks";

    static final String CHOICES = "choices";
    static final String PROBE = "probe";
    static final String SAMPLES = "samples";

    /** The congestion control, and how it is called. */
    static final String CONGESTION_CONTROL = "tributary";

    private static final List<String> OPERATIONS =
            List.of("init", "release", "cong_control", "ssthresh", "undo_cwnd");

    /** The object's place in the jar. */
    static final String OBJECT = "/io/tributary/datapath/kernel/policy.bpf.o";

    private static final String SETTING = ".rodata.setting";

    /** {@code struct bpf_prog_info}, as far as it is read. */
    private static final int INFO_BYTES = 224;

    private static final int VERIFIED_AT = 216;
    private static final int MEANS = 10;

    private final BpfObject object;
    private final NetworkTable table;
    private final int probe;

    private PolicyProgram(BpfObject object) throws IOException {
        this.object = object;
        this.probe = program(PROBE);
        this.table = new NetworkTable(object.bpf(), object.map(NETWORKS), probe);
    }

    /**
     * Puts the program into the kernel, for networks of one shape.
     *
     * @param congestionControl whether with the congestion control, to be registered
     * @throws IOException with what the kernel has against it
     */
    static PolicyProgram load(Shape shape, boolean congestionControl) throws IOException {
        BpfObject object = BpfObject.open(PolicyProgram.class, OBJECT, "policy");
        try {
            object.initialize(SETTING, initial(shape));
            if (!congestionControl) {
                object.leaveOut(CONGESTION_CONTROL, OPERATIONS);
            }
            object.load();
            return new PolicyProgram(object);
        } catch (IOException | RuntimeException e) {
            object.close();
            throw e;
        }
    }

    private static Memory initial(Shape shape) {
        short[] tanh = IntegerNetwork.tanh();
        Memory setting = new Memory(Integer.BYTES + (long) tanh.length * Short.BYTES);
        setting.setInt(0, shape.number());
        setting.write(Integer.BYTES, tanh, 0, tanh.length);
        return setting;
    }

    private int program(String name) throws IOException {
        return object.bpf().bpf_program__fd(object.program(name));
    }

    BpfObject object() {
        return object;
    }

    int probe() {
        return probe;
    }

    /** The descriptor of the map with the shape. */
    int setting() throws IOException {
        return object.map(SETTING);
    }

    NetworkTable table() {
        return table;
    }

    /**
     * How long one inference takes, in ns, without what running costs anyway: the mean of many, and
     * the least of some such means, since others may have taken the processor.
     */
    int nanos(int slot, int[] inputs, int repeat) throws IOException {
        int all = Integer.MAX_VALUE;
        int nothing = Integer.MAX_VALUE;
        for (int i = 0; i < MEANS; i++) {
            all = Math.min(all, table.nanos(probe, slot, inputs, repeat));
            nothing = Math.min(nothing, table.nanos(program("nothing"), slot, inputs, repeat));
        }
        return Math.max(0, all - nothing);
    }

    /** How many instructions of a program the verifier has looked at. */
    int verifiedInstructions(String name) throws IOException {
        Memory info = new Memory(INFO_BYTES);
        info.clear();
        BpfObject.check(
                "the kernel says nothing of the program",
                object.bpf()
                        .bpf_obj_get_info_by_fd(program(name), info, BpfObject.number(INFO_BYTES)));
        return info.getInt(VERIFIED_AT);
    }

    @Override
    public void close() {
        object.close();
    }
}
