// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.peer;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;

/**
 * What is needed of the C library to tell the kernel of a directory and a network namespace, and to
 * ask it about sockets.
 */
public interface LibC extends Library {

    LibC INSTANCE = Native.load("c", LibC.class);

    int O_DIRECTORY = 0x10000;

    int AF_INET = 2;
    int AF_NETLINK = 16;
    int SOCK_STREAM = 1;
    int SOCK_DGRAM = 2;
    int SOL_SOCKET = 1;
    int SO_NETNS_COOKIE = 71;

    int open(String path, int flags);

    int socket(int domain, int type, int protocol);

    int getsockopt(int socket, int level, int name, Pointer value, Pointer length);

    long send(int socket, byte[] bytes, long length, int flags);

    long recv(int socket, byte[] bytes, long length, int flags);

    int close(int fd);

    String strerror(int error);
}
