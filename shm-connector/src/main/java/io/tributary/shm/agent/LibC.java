// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.agent;

import com.sun.jna.Library;
import com.sun.jna.Native;

/** What is needed of the C library to hand a directory to the kernel. */
interface LibC extends Library {

    LibC INSTANCE = Native.load("c", LibC.class);

    int O_DIRECTORY = 0x10000;

    int open(String path, int flags);

    int close(int fd);

    String strerror(int error);
}
