// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.shm;

import io.tributary.cli.testutils.TestJob;
import io.tributary.job.graph.LocalFlink;
import java.nio.file.Files;
import java.nio.file.Path;

/** A job in a process of its own, until it is killed or its last model is there. */
final class JobProcess {

    private JobProcess() {}

    /** Arguments: work directory, agent's port, trainers, rounds. */
    public static void main(String[] args) throws Exception {
        TestJob job = new TestJob("it", Path.of(args[0]), Integer.parseInt(args[1]));
        int rounds = Integer.parseInt(args[3]);
        try (LocalFlink flink = job.start(Integer.parseInt(args[2]), rounds, 1 << 28)) {
            while (!Files.exists(Path.of(args[0], "stop"))) {
                flink.check();
                Thread.sleep(100);
            }
        }
        System.exit(0);
    }
}
