// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.testutils;

import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.PythonProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/** Trainers in Python that send what the reference says that they send. */
public final class PythonTrainers {

    private static final String SCRIPT = "testbed/file_trainer.py";

    private PythonTrainers() {}

    private static PythonProcess python() {
        return PythonProcess.prepare("kafka,flower", System.out::println);
    }

    /** Skips a test where there is no Python, unless there has to be one. */
    public static void assumeThere() {
        try {
            python();
        } catch (IllegalStateException e) {
            Assumptions.assumeTrue(
                    System.getenv("TRIBUTARY_REQUIRE_PYTHON") != null, e.getMessage());
            throw e;
        }
    }

    /**
     * Starts one.
     *
     * @param work where its updates are written, and its output
     * @param rounds for how many it has updates
     * @param options of {@code tributary.connect}, JSON
     */
    public static ChildProcess start(
            TestJob job, Path work, String id, int rounds, String uri, String options)
            throws IOException {
        Path updates = updates(work, id, rounds);
        return python().start(
                        List.of(),
                        SCRIPT,
                        List.of(
                                uri,
                                job.name(),
                                id,
                                TestJob.GROUPS.get(0),
                                updates.toString(),
                                Long.toString(TestJob.samples(id)),
                                options),
                        work.resolve(id + ".log"));
    }

    /** Runs a script of the testbed. */
    public static ChildProcess run(Path work, String script, List<String> arguments) {
        return python().start(
                        List.of(),
                        "testbed/%s.py".formatted(script),
                        arguments,
                        work.resolve(script + ".log"));
    }

    /** Runs tests of the package that need the build of this checkout. */
    public static ChildProcess tests(Path work, String file) {
        return PythonProcess.prepare("test", System.out::println)
                .startTests(file, work.resolve("pytest.log"));
    }

    /** Starts one that is an app of Flower. */
    public static ChildProcess startFlower(
            TestJob job, Path work, String id, int rounds, String uri) throws IOException {
        Path updates = updates(work, id, rounds);
        return python().startFlower(
                        "testbed/file_app",
                        List.of(
                                "--connect",
                                uri,
                                "--job",
                                job.name(),
                                "--id",
                                id,
                                "--group",
                                TestJob.GROUPS.get(1),
                                "--node-config",
                                "id='%s' directory='%s' samples=%d"
                                        .formatted(id, updates, TestJob.samples(id))),
                        work.resolve(id + ".log"));
    }

    private static Path updates(Path work, String id, int rounds) throws IOException {
        Path updates = Files.createDirectories(work.resolve("updates"));
        for (int round = 1; round <= rounds; round++) {
            Files.write(
                    updates.resolve("%s-%d.safetensors".formatted(id, round)),
                    TestJob.bytes(id, round));
        }
        return updates;
    }
}
