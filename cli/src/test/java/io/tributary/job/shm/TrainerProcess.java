// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.shm;

import io.tributary.cli.testutils.TestJob;
import io.tributary.trainer.TrainerClient;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Some trainers in a process of their own, until they are killed or all rounds are done. */
final class TrainerProcess {

    private TrainerProcess() {}

    /** Arguments: work directory, agent's port, ids. */
    public static void main(String[] args) throws Exception {
        TestJob job = new TestJob("it", Path.of(args[0]), Integer.parseInt(args[1]));
        List<Thread> threads = new ArrayList<>();
        for (String id : List.of(args).subList(2, args.length)) {
            Thread thread =
                    new Thread(
                            () -> {
                                try (TrainerClient client = job.client(id)) {
                                    client.join();
                                    TestJob.train(client);
                                }
                            },
                            id);
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        System.exit(0);
    }
}
