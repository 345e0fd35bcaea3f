// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.util.concurrent.ThreadFactory;

/**
 * Threads that do not keep their process alive.
 *
 * @param name what they are called
 */
record DaemonThreads(String name) implements ThreadFactory {

    @Override
    public Thread newThread(Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        return thread;
    }
}
