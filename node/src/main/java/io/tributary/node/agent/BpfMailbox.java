// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.os.LibC;
import io.tributary.node.bpf.BpfObject;
import io.tributary.node.bpf.LibBpf;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;

/**
 * The eBPF program in the kernel and its maps. Nothing is pinned: the program is there as long as
 * this process is, whatever ends it. Not thread-safe.
 */
final class BpfMailbox implements AutoCloseable {

    private static final int AGENT_BYTES = 16;
    private static final int PEER_BYTES = 48;
    private static final int ID_BYTES = 16;

    private final LibBpf bpf;
    private final BpfObject object;
    private final int cgroup;
    private final boolean ofHost;
    private boolean closed;
    private Pointer link;
    private int deliver;
    private int sockets;
    private int endpoints;
    private int peers;
    private int reads;

    /**
     * What the kernel has counted for one endpoint's socket.
     *
     * @param sent descriptors that went from it without leaving the kernel
     * @param sentBytes their bytes
     * @param delivered descriptors that came to it without leaving the kernel
     * @param deliveredBytes their bytes
     */
    record Counters(long sent, long sentBytes, long delivered, long deliveredBytes) {}

    private BpfMailbox(BpfObject object, int cgroup, boolean ofHost) {
        this.ofHost = ofHost;
        this.bpf = object.bpf();
        this.object = object;
        this.cgroup = cgroup;
    }

    /**
     * Loads and attaches the program.
     *
     * @param port the agent's
     * @throws IOException with what the kernel had against it
     */
    static BpfMailbox load(int port) throws IOException {
        BpfObject object = BpfObject.open(BpfMailbox.class, BpfRequirements.OBJECT, "mailbox");
        Path mount = BpfRequirements.cgroup2().orElseThrow(() -> new IOException("no cgroup v2"));
        int cgroup = LibC.INSTANCE.open(mount.toString(), LibC.O_DIRECTORY, 0);
        BpfMailbox mailbox = new BpfMailbox(object, cgroup, BpfRequirements.holdsAll(mount));
        try {
            if (cgroup < 0) {
                throw BpfObject.error(mount + " cannot be opened", Native.getLastError());
            }
            mailbox.attach(port);
            return mailbox;
        } catch (IOException e) {
            mailbox.close();
            throw e;
        }
    }

    private void attach(int port) throws IOException {
        object.load();
        sockets = object.map("sockets");
        endpoints = object.map("endpoints");
        peers = object.map("peers");
        reads = object.map("reads");
        Memory agent = new Memory(AGENT_BYTES);
        agent.clear();
        agent.setLong(0, netnsCookie());
        agent.setInt(Long.BYTES, port);
        BpfObject.check(
                "the port cannot be set", update(object.map("agents"), BpfObject.number(0), agent));
        deliver = bpf.bpf_program__fd(object.program("deliver"));
        BpfObject.check(
                "the program cannot be attached to its sockets",
                bpf.bpf_prog_attach(deliver, sockets, LibBpf.SK_MSG_VERDICT, 0));
        link = bpf.bpf_program__attach_cgroup(object.program("established"), cgroup);
        if (link == null) {
            throw BpfObject.error(
                    "the program cannot be attached to the cgroup", Native.getLastError());
        }
    }

    /** What the kernel calls this process's network namespace. */
    private static long netnsCookie() throws IOException {
        int socket = LibC.INSTANCE.socket(LibC.AF_INET, LibC.SOCK_STREAM, 0);
        try {
            Memory cookie = longNumber(0);
            int result =
                    LibC.INSTANCE.getsockopt(
                            socket,
                            LibC.SOL_SOCKET,
                            LibC.SO_NETNS_COOKIE,
                            cookie,
                            BpfObject.number(Long.BYTES));
            if (result < 0) {
                throw BpfObject.error("the network namespace has no cookie", Native.getLastError());
            }
            return cookie.getLong(0);
        } finally {
            LibC.INSTANCE.close(socket);
        }
    }

    /** Whether it is there for all processes of the host, or for those of a container alone. */
    boolean ofHost() {
        return ofHost;
    }

    /** Whether the kernel's program has the socket with this cookie, as it should. */
    boolean has(long cookie) {
        return bpf.bpf_map_lookup_elem(sockets, longNumber(cookie), longNumber(0)) == 0;
    }

    /** A socket speaks for an endpoint from now on; its counters begin at zero. */
    void addSocket(long cookie, EndpointId id) {
        Memory peer = new Memory(PEER_BYTES);
        peer.clear();
        write(peer, id);
        require(update(reads, longNumber(cookie), longNumber(0)));
        require(update(peers, longNumber(cookie), peer));
    }

    /** Descriptors for {@code id} go to the socket with this cookie. */
    void addEndpoint(EndpointId id, long cookie) {
        Memory key = new Memory(ID_BYTES);
        write(key, id);
        require(update(endpoints, key, longNumber(cookie)));
    }

    /** No more descriptors for {@code id}. */
    void removeEndpoint(EndpointId id) {
        Memory key = new Memory(ID_BYTES);
        write(key, id);
        bpf.bpf_map_delete_elem(endpoints, key);
    }

    /** The socket is gone. */
    void removeSocket(long cookie) {
        bpf.bpf_map_delete_elem(peers, longNumber(cookie));
        bpf.bpf_map_delete_elem(reads, longNumber(cookie));
    }

    /** The socket's owner has read this many of the descriptors that the kernel delivered. */
    void read(long cookie, long count) {
        require(update(reads, longNumber(cookie), longNumber(count)));
    }

    Counters counters(long cookie) {
        Memory peer = new Memory(PEER_BYTES);
        peer.clear();
        bpf.bpf_map_lookup_elem(peers, longNumber(cookie), peer);
        return new Counters(
                peer.getLong(ID_BYTES),
                peer.getLong(ID_BYTES + 8),
                peer.getLong(ID_BYTES + 16),
                peer.getLong(ID_BYTES + 24));
    }

    private static void require(int result) {
        try {
            BpfObject.check("an eBPF map cannot be changed", result);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private int update(int map, Memory key, Memory value) {
        return bpf.bpf_map_update_elem(map, key, value, 0);
    }

    private static Memory longNumber(long value) {
        Memory memory = new Memory(Long.BYTES);
        memory.setLong(0, value);
        return memory;
    }

    private static void write(Memory memory, EndpointId id) {
        memory.setLong(0, id.high());
        memory.setLong(Long.BYTES, id.low());
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        if (link != null) {
            bpf.bpf_link__destroy(link);
            bpf.bpf_prog_detach2(deliver, sockets, LibBpf.SK_MSG_VERDICT);
        }
        object.close();
        if (cgroup >= 0) {
            LibC.INSTANCE.close(cgroup);
        }
    }
}
