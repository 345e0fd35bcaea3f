// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.os;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Platform;
import com.sun.jna.Pointer;

/**
 * What is needed of the C library, with the numbers of Linux on x86-64 and aarch64. Thread-safe.
 */
public interface LibC extends Library {

    LibC INSTANCE = Native.load("c", LibC.class);

    int O_RDONLY = 0;
    int O_RDWR = 2;
    int O_CREAT = 0x40;
    int O_EXCL = 0x80;
    int O_NONBLOCK = 0x800;
    int O_DIRECTORY = Platform.isARM() ? 0x4000 : 0x10000;
    int O_NOFOLLOW = Platform.isARM() ? 0x8000 : 0x20000;
    int O_CLOEXEC = 0x80000;
    int O_PATH = 0x200000;
    int F_SETFD = 2;
    int FD_CLOEXEC = 1;
    int AT_FDCWD = -100;
    int RENAME_NOREPLACE = 1;

    /** Frees the memory of a range; the file stays as long as it is. */
    int FALLOC_FL_PUNCH_HOLE_KEEP_SIZE = 3;

    int EPERM = 1;
    int ENOENT = 2;
    int EINTR = 4;
    int EAGAIN = 11;
    int EACCES = 13;
    int EEXIST = 17;
    int ENOTDIR = 20;
    int EINVAL = 22;
    int ELOOP = 40;

    int PROT_READ = 1;
    int PROT_READ_WRITE = 3;
    int MAP_SHARED = 1;
    int LOCK_EX = 2;
    int LOCK_NB = 4;

    int AF_UNIX = 1;
    int AF_INET = 2;
    int AF_NETLINK = 16;
    int SOCK_STREAM = 1;
    int SOCK_DGRAM = 2;
    int SOCK_CLOEXEC = 0x80000;
    int SOL_SOCKET = 1;
    int SO_PEERCRED = 17;
    int SO_NETNS_COOKIE = 71;
    int SHUT_RDWR = 2;
    int MSG_DONTWAIT = 0x40;
    int MSG_NOSIGNAL = 0x4000;

    int open(String path, int flags, int mode);

    int openat(int directory, String path, int flags, int mode);

    int mkdirat(int directory, String path, int mode);

    int unlinkat(int directory, String path, int flags);

    int renameat2(int fromDirectory, String from, int toDirectory, String to, int flags);

    int fchmod(int fd, int mode);

    int fallocate(int fd, int mode, long offset, long length);

    int fcntl(int fd, int command, Pointer argument);

    int geteuid();

    int socket(int domain, int type, int protocol);

    int bind(int socket, Pointer address, int length);

    int listen(int socket, int backlog);

    int accept4(int socket, Pointer address, Pointer length, int flags);

    int shutdown(int socket, int how);

    int getsockopt(int socket, int level, int name, Pointer value, Pointer length);

    long send(int socket, byte[] bytes, long length, int flags);

    long recv(int socket, byte[] bytes, long length, int flags);

    Pointer mmap(Pointer address, long length, int protection, int flags, int fd, long offset);

    int munmap(Pointer address, long length);

    int flock(int fd, int operation);

    int getpagesize();

    int close(int fd);

    String strerror(int error);
}
