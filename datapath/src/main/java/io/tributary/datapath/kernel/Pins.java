// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import io.tributary.memory.os.LibC;
import io.tributary.node.bpf.BpfObject;
import io.tributary.node.bpf.LibBpf;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Descriptors of what is pinned in a directory, until closed. Not thread-safe. */
final class Pins implements AutoCloseable {

    /** {@code struct bpf_map_info}, as far as it is read. */
    private static final int INFO_BYTES = 24;

    private static final int VALUE_BYTES_AT = 12;
    private static final int ENTRIES_AT = 16;

    private final LibBpf bpf = LibBpf.load();
    private final Path directory;
    private final List<Integer> descriptors = new ArrayList<>();

    Pins(Path directory) {
        this.directory = directory;
    }

    LibBpf bpf() {
        return bpf;
    }

    /** A program or a map. */
    int get(String pin) throws IOException {
        int fd = bpf.bpf_obj_get(directory.resolve(pin).toString());
        BpfObject.check("%s cannot be opened".formatted(directory.resolve(pin)), fd);
        descriptors.add(fd);
        return fd;
    }

    /**
     * A map, as this version of Tributary makes it: another one has other sizes, and what is read
     * of it would not fit.
     *
     * @param valueBytes of an element
     * @param entries how many there are
     * @throws IllegalArgumentException when it has other sizes
     */
    int map(String pin, int valueBytes, int entries) throws IOException {
        int fd = get(pin);
        Memory info = new Memory(INFO_BYTES);
        info.clear();
        BpfObject.check(
                "the kernel says nothing of %s".formatted(directory.resolve(pin)),
                bpf.bpf_obj_get_info_by_fd(fd, info, BpfObject.number(INFO_BYTES)));
        if (info.getInt(VALUE_BYTES_AT) != valueBytes || info.getInt(ENTRIES_AT) != entries) {
            throw new IllegalArgumentException(
                    "%s is of another version of Tributary; unload it, and load it again"
                            .formatted(directory));
        }
        return fd;
    }

    /**
     * A part of a map in this process's memory, to be unmapped with {@code munmap}.
     *
     * @param fd the map
     * @param offset where it begins, in bytes
     */
    static Pointer mapped(int fd, long offset, long length, int protection) throws IOException {
        Pointer memory =
                LibC.INSTANCE.mmap(Pointer.NULL, length, protection, LibC.MAP_SHARED, fd, offset);
        if (Pointer.nativeValue(memory) == -1) {
            throw BpfObject.error("an eBPF map cannot be mapped", Native.getLastError());
        }
        return memory;
    }

    @Override
    public void close() {
        descriptors.forEach(LibC.INSTANCE::close);
        descriptors.clear();
    }
}
