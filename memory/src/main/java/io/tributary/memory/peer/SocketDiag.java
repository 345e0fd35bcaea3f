// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.peer;

import com.sun.jna.Native;
import io.tributary.memory.os.LibC;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * Asks the kernel for one TCP connection of this network namespace by its two addresses, whoever
 * has it and however many there are: netlink's {@code SOCK_DIAG_BY_FAMILY}, see linux/inet_diag.h.
 * Stateless.
 */
final class SocketDiag {

    private static final int NETLINK_SOCK_DIAG = 4;
    private static final int IPPROTO_TCP = 6;

    private static final short SOCK_DIAG_BY_FAMILY = 20;
    private static final short NLMSG_ERROR = 2;
    private static final short NLM_F_REQUEST = 1;
    private static final int ALL_STATES = -1;
    private static final int NO_COOKIE = -1;
    private static final byte ESTABLISHED = 1;
    private static final int ENOENT = 2;

    private static final int HEADER_BYTES = 16;
    private static final int REQUEST_BYTES = HEADER_BYTES + 56;
    private static final int ADDRESS_BYTES = 16;
    private static final int ANSWER_BYTES = 4096;

    private static final int TYPE_AT = 4;
    private static final int ERROR_AT = HEADER_BYTES;
    private static final int STATE_AT = HEADER_BYTES + 1;
    private static final int COOKIE_AT = HEADER_BYTES + 44;
    private static final int USER_AT = HEADER_BYTES + 64;

    private SocketDiag() {}

    /**
     * Finds a connection.
     *
     * @param local the end whose owner is wanted, IPv4
     * @param remote the other end
     * @return empty where there is none, or where it is being closed
     */
    static Optional<PeerProcess> find(InetSocketAddress local, InetSocketAddress remote)
            throws IOException {
        byte[] request = request(local, remote);
        byte[] answer = new byte[ANSWER_BYTES];
        int socket = LibC.INSTANCE.socket(LibC.AF_NETLINK, LibC.SOCK_DGRAM, NETLINK_SOCK_DIAG);
        if (socket < 0) {
            throw error("has no socket for it", Native.getLastError());
        }
        try {
            if (LibC.INSTANCE.send(socket, request, request.length, 0) < 0
                    || LibC.INSTANCE.recv(socket, answer, answer.length, 0) < 0) {
                throw error("does not answer", Native.getLastError());
            }
        } finally {
            LibC.INSTANCE.close(socket);
        }
        return decode(ByteBuffer.wrap(answer).order(ByteOrder.nativeOrder()));
    }

    private static byte[] request(InetSocketAddress local, InetSocketAddress remote) {
        ByteBuffer request = ByteBuffer.allocate(REQUEST_BYTES).order(ByteOrder.nativeOrder());
        request.putInt(REQUEST_BYTES);
        request.putShort(SOCK_DIAG_BY_FAMILY).putShort(NLM_F_REQUEST);
        request.putInt(1).putInt(0);
        request.put((byte) LibC.AF_INET).put((byte) IPPROTO_TCP).putShort((short) 0);
        request.putInt(ALL_STATES);
        // Ports and addresses as they are on the wire.
        request.order(ByteOrder.BIG_ENDIAN);
        request.putShort((short) local.getPort()).putShort((short) remote.getPort());
        request.put(padded(local)).put(padded(remote));
        request.order(ByteOrder.nativeOrder());
        request.putInt(0).putInt(NO_COOKIE).putInt(NO_COOKIE);
        return request.array();
    }

    private static byte[] padded(InetSocketAddress address) {
        byte[] four = address.getAddress().getAddress();
        byte[] all = new byte[ADDRESS_BYTES];
        System.arraycopy(four, 0, all, 0, four.length);
        return all;
    }

    private static Optional<PeerProcess> decode(ByteBuffer answer) throws IOException {
        if (answer.getShort(TYPE_AT) == NLMSG_ERROR) {
            int error = -answer.getInt(ERROR_AT);
            if (error == ENOENT) {
                return Optional.empty();
            }
            throw error("rejects", error);
        }
        if (answer.get(STATE_AT) != ESTABLISHED) {
            return Optional.empty();
        }
        return Optional.of(new PeerProcess(answer.getInt(USER_AT), answer.getLong(COOKIE_AT)));
    }

    private static IOException error(String what, int error) {
        return new IOException(
                "the kernel %s (%s); asking who is at a connection needs CONFIG_INET_DIAG"
                        .formatted(what, LibC.INSTANCE.strerror(error)));
    }
}
