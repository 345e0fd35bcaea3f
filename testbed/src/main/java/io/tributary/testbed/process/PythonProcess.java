// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Starts Python trainers, in the virtual environment of this checkout.
 *
 * @param home the checkout's directory of the Python package
 * @param python the environment's interpreter
 */
public record PythonProcess(Path home, Path python) {

    private static final String PACKAGE = "trainer-client/python";
    private static final String HOME = "tributary.home";

    /** What the script says of itself, before what it has to say. */
    private static final String SAID = "python trainers: ";

    /**
     * Makes the environment, unless it is there.
     *
     * @param extras of the package that are needed
     * @param say told what takes time
     * @throws IllegalStateException when it cannot be made, saying why
     */
    public static PythonProcess prepare(String extras, Consumer<String> say) {
        Path home = checkout().resolve(PACKAGE);
        List<String> said = new ArrayList<>();
        try {
            Process process =
                    new ProcessBuilder(home.resolve("environment").toString(), extras).start();
            try (BufferedReader errors = process.errorReader()) {
                errors.lines()
                        .forEach(
                                line -> {
                                    said.add(line);
                                    if (line.startsWith(SAID + "making")) {
                                        say.accept(line);
                                    }
                                });
            }
            String python = new String(process.getInputStream().readAllBytes()).strip();
            if (process.waitFor() != 0) {
                throw new IllegalStateException(
                        said.isEmpty() ? home + "/environment says nothing" : last(said));
            }
            return new PythonProcess(home, Path.of(python));
        } catch (IOException e) {
            throw new UncheckedIOException(home + "/environment cannot be started", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while Python was prepared", e);
        }
    }

    private static String last(List<String> lines) {
        return lines.get(lines.size() - 1);
    }

    /** The launcher says where it is; a test is somewhere below it. */
    private static Path checkout() {
        Path at = Path.of(System.getProperty(HOME, "")).toAbsolutePath();
        while (!Files.exists(at.resolve(PACKAGE).resolve("environment"))) {
            at = at.getParent();
            if (at == null) {
                throw new IllegalStateException(
                        "Python trainers are started from a checkout of Tributary; run its ./tributary");
            }
        }
        return at;
    }

    /**
     * Starts a program of the package's directory.
     *
     * @param before what stands before the command, to run it elsewhere; mostly nothing
     * @param script below that directory
     * @param log where its output is appended
     */
    public ChildProcess start(
            List<String> before, String script, List<String> arguments, Path log) {
        return run(before, home.resolve(script).toString(), arguments, log);
    }

    /** Starts a Flower app of the package's directory as a trainer. */
    public ChildProcess startFlower(String app, List<String> arguments, Path log) {
        List<String> all =
                new ArrayList<>(List.of("tributary.flower", home.resolve(app).toString()));
        all.addAll(arguments);
        return run(List.of(), "-m", all, log);
    }

    /** Runs tests of the package's directory that want a built checkout. */
    public ChildProcess startTests(String file, Path log) {
        return run(
                List.of("env", "TRIBUTARY_TEST_JOB=1"),
                "-m",
                List.of("pytest", "-rs", "-p", "no:cacheprovider", home.resolve(file).toString()),
                log);
    }

    private ChildProcess run(List<String> before, String what, List<String> arguments, Path log) {
        List<String> line = new ArrayList<>(before);
        line.add(python.toString());
        line.add(what);
        line.addAll(arguments);
        return ChildProcess.start(line, log);
    }
}
