// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.bpf;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import io.tributary.memory.os.LibC;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ref.Reference;
import java.util.List;
import java.util.Optional;

/**
 * An eBPF object: programs and maps that are in the kernel together. They are there for as long as
 * this is open, unless something else holds them. Not thread-safe.
 */
public final class BpfObject implements AutoCloseable {

    /** {@code sz} and {@code object_name} of {@code struct bpf_object_open_opts}. */
    private static final int OPEN_OPTIONS_BYTES = 16;

    private final LibBpf bpf;
    private final Pointer object;
    private boolean closed;

    private BpfObject(LibBpf bpf, Pointer object) {
        this.bpf = bpf;
        this.object = object;
    }

    /**
     * Opens an object without loading it.
     *
     * @param owner the class beside which it lies
     * @param resource its place in the jar
     * @param name what the names of its sections' maps begin with, of at most 8 characters
     * @throws IOException when it is not in this build, or cannot be read
     */
    public static BpfObject open(Class<?> owner, String resource, String name) throws IOException {
        LibBpf bpf = LibBpf.load();
        Memory bytes = bytes(owner, resource);
        Memory text = new Memory(name.length() + 1L);
        text.setString(0, name);
        Memory options = new Memory(OPEN_OPTIONS_BYTES);
        options.setLong(0, OPEN_OPTIONS_BYTES);
        options.setPointer(Long.BYTES, text);
        Pointer object = bpf.bpf_object__open_mem(bytes, bytes.size(), options);
        Reference.reachabilityFence(text);
        if (object == null) {
            throw error("the eBPF object cannot be read", Native.getLastError());
        }
        return new BpfObject(bpf, object);
    }

    private static Memory bytes(Class<?> owner, String resource) throws IOException {
        try (InputStream in = owner.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IOException("the eBPF object is not in this build");
            }
            byte[] bytes = in.readAllBytes();
            Memory memory = new Memory(bytes.length);
            memory.write(0, bytes, 0, bytes.length);
            return memory;
        }
    }

    /** libbpf, for what this does not do. */
    public LibBpf bpf() {
        return bpf;
    }

    /**
     * Puts it into the kernel.
     *
     * @throws IOException with what the kernel has against it
     */
    public void load() throws IOException {
        check("the kernel does not take the program", bpf.bpf_object__load(object));
    }

    /** A program, loaded or not. */
    public Pointer program(String name) throws IOException {
        return Optional.ofNullable(bpf.bpf_object__find_program_by_name(object, name))
                .orElseThrow(() -> new IOException("the eBPF object has no program " + name));
    }

    /** Sets what a section's map holds, before the object is loaded. */
    public void initialize(String map, Memory value) throws IOException {
        check(
                "the map %s cannot be set".formatted(map),
                bpf.bpf_map__set_initial_value(find(map), value, value.size()));
    }

    private Pointer find(String map) throws IOException {
        return Optional.ofNullable(bpf.bpf_object__find_map_by_name(object, map))
                .orElseThrow(() -> new IOException("the eBPF object has no map " + map));
    }

    /** Leaves a struct of operations out, before the object is loaded. */
    public void leaveOut(String map, List<String> programs) throws IOException {
        check(
                "%s cannot be left out".formatted(map),
                bpf.bpf_map__set_autocreate(find(map), false));
        for (String program : programs) {
            check(
                    "%s cannot be left out".formatted(program),
                    bpf.bpf_program__set_autoload(program(program), false));
        }
    }

    /**
     * Registers a struct of operations with the kernel. It stays until its map's element is
     * deleted, whatever becomes of this process.
     */
    public void register(String map) throws IOException {
        Pointer link = bpf.bpf_map__attach_struct_ops(find(map));
        if (link == null) {
            throw error("%s cannot be registered".formatted(map), Native.getLastError());
        }
        bpf.bpf_link__disconnect(link);
        bpf.bpf_link__destroy(link);
    }

    /** The descriptor of a map, once the object is loaded. */
    public int map(String name) throws IOException {
        int fd = bpf.bpf_object__find_map_fd_by_name(object, name);
        check("the eBPF object has no map " + name, Math.min(fd, 0));
        return fd;
    }

    /**
     * Looks at what a call has returned.
     *
     * @throws IOException when it is negative, with what that means
     */
    public static void check(String what, int result) throws IOException {
        if (result < 0) {
            throw error(what, -result);
        }
    }

    /** A number of an error in words. */
    public static IOException error(String what, int error) {
        String why = LibC.INSTANCE.strerror(Math.abs(error));
        return new IOException(
                Math.abs(error) == LibC.EPERM
                        ? "%s: %s; in a container, its seccomp profile must allow bpf(), and it must have no user namespace of its own"
                                .formatted(what, why)
                        : "%s: %s".formatted(what, why));
    }

    /** A number of 32 bits in memory, as libbpf takes keys. */
    public static Memory number(int value) {
        Memory memory = new Memory(Integer.BYTES);
        memory.setInt(0, value);
        return memory;
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            bpf.bpf_object__close(object);
        }
    }
}
