// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.bpf;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;

/** The part of libbpf 1.x that is used, with its own names; see bpf/libbpf.h and bpf/bpf.h. */
public interface LibBpf extends Library {

    /** The library's file name; Debian's package is libbpf1. */
    String NAME = "libbpf.so.1";

    int SK_MSG_VERDICT = 7;

    static LibBpf load() {
        LibBpf bpf = Native.load(NAME, LibBpf.class);
        // Its own words on standard error help nobody; errors come back as numbers.
        bpf.libbpf_set_print(Pointer.NULL);
        return bpf;
    }

    Pointer libbpf_set_print(Pointer function);

    Pointer bpf_object__open_mem(Pointer bytes, long length, Pointer options);

    int bpf_object__load(Pointer object);

    void bpf_object__close(Pointer object);

    Pointer bpf_object__find_program_by_name(Pointer object, String name);

    Pointer bpf_object__find_map_by_name(Pointer object, String name);

    int bpf_object__find_map_fd_by_name(Pointer object, String name);

    int bpf_map__set_initial_value(Pointer map, Pointer value, long length);

    int bpf_map__set_autocreate(Pointer map, boolean autocreate);

    Pointer bpf_map__attach_struct_ops(Pointer map);

    void bpf_link__disconnect(Pointer link);

    int bpf_program__set_autoload(Pointer program, boolean autoload);

    int bpf_program__fd(Pointer program);

    Pointer bpf_program__attach_cgroup(Pointer program, int cgroup);

    int bpf_link__destroy(Pointer link);

    int bpf_prog_attach(int program, int target, int type, int flags);

    int bpf_prog_detach2(int program, int target, int type);

    int bpf_prog_test_run_opts(int program, Pointer options);

    int bpf_obj_get_info_by_fd(int fd, Pointer info, Pointer length);

    int bpf_obj_pin(int fd, String path);

    int bpf_obj_get(String path);

    int bpf_map_update_elem(int map, Pointer key, Pointer value, long flags);

    int bpf_map_lookup_elem(int map, Pointer key, Pointer value);

    int bpf_map_delete_elem(int map, Pointer key);
}
