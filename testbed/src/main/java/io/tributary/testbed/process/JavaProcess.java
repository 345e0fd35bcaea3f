// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** A JVM with its output in a file, which may be killed at any time. */
public final class JavaProcess implements AutoCloseable {

    private static final long START_SECONDS = 60;
    private static final long END_SECONDS = 20;
    private static final int COMPLAINS = 24;
    private static final long PAUSE_MILLIS = 100;

    private final Process process;
    private final Path log;

    private JavaProcess(Process process, Path log) {
        this.process = process;
        this.log = log;
    }

    /** JNA, Flink and ND4J need it; from JDK 24 on a JVM complains where it is not asked for. */
    private static final List<String> ACCESS = access(Runtime.version().feature());

    static List<String> access(int jdk) {
        List<String> access =
                new ArrayList<>(
                        List.of(
                                "--add-opens=java.base/java.util=ALL-UNNAMED",
                                "--add-opens=java.base/java.lang=ALL-UNNAMED"));
        if (jdk >= COMPLAINS) {
            access.add("--enable-native-access=ALL-UNNAMED");
            access.add("--sun-misc-unsafe-memory-access=allow");
        }
        return List.copyOf(access);
    }

    /**
     * What is started.
     *
     * @param before what stands before the command, to run it elsewhere; mostly nothing
     * @param classpath its class path
     * @param jvm arguments of the JVM
     * @param main its main class
     * @param arguments arguments of the main class
     */
    public record Command(
            List<String> before,
            String classpath,
            List<String> jvm,
            String main,
            List<String> arguments) {

        /** On this process's class path, which knows everything. */
        public static Command here(List<String> jvm, String main, List<String> arguments) {
            return new Command(
                    List.of(), System.getProperty("java.class.path"), jvm, main, arguments);
        }

        /** The same on a host. */
        public Command on(NetnsHosts.Host host) {
            return behind(host.enter());
        }

        /** The same with something before it, and before what stands there already. */
        public Command behind(List<String> more) {
            List<String> all = new ArrayList<>(more);
            all.addAll(before);
            return new Command(all, classpath, jvm, main, arguments);
        }
    }

    /**
     * Starts a JVM.
     *
     * @param log where its output is appended
     */
    public static JavaProcess start(Command command, Path log) {
        List<String> line = new ArrayList<>(command.before());
        line.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        line.add("-Djava.awt.headless=true");
        line.addAll(ACCESS);
        line.addAll(command.jvm());
        line.add("-cp");
        line.add(command.classpath());
        line.add(command.main());
        line.addAll(command.arguments());
        try {
            Files.createDirectories(log.toAbsolutePath().getParent());
            ProcessBuilder builder =
                    new ProcessBuilder(line)
                            .redirectErrorStream(true)
                            .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
            // Flink's slots, and the trainers, are the threads already.
            builder.environment().putIfAbsent("OMP_NUM_THREADS", "1");
            return new JavaProcess(builder.start(), log);
        } catch (IOException e) {
            throw new UncheckedIOException("no JVM can be started", e);
        }
    }

    /** Waits a little, for something that a process is about to do. */
    public static void pause() {
        try {
            Thread.sleep(PAUSE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for a process", e);
        }
    }

    /**
     * Waits until it listens.
     *
     * @param what it is, for errors
     * @throws IllegalStateException with the end of its output when it does not
     */
    public void awaitListening(String address, int port, String what) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (!listens(address, port)) {
            if (!alive() || System.nanoTime() > end) {
                throw new IllegalStateException(
                        "%s does not start:\n%s".formatted(what, logTail()));
            }
            pause();
        }
    }

    private static boolean listens(String address, int port) {
        try (Socket socket = new Socket(address, port)) {
            return socket.isConnected();
        } catch (IOException e) {
            return false;
        }
    }

    /** Its process id. */
    public long pid() {
        return process.pid();
    }

    /** Whether it runs. */
    public boolean alive() {
        return process.isAlive();
    }

    /** Its exit code, once it has ended. */
    public Optional<Integer> exitCode() {
        return process.isAlive() ? Optional.empty() : Optional.of(process.exitValue());
    }

    /** Where its output is. */
    public Path log() {
        return log;
    }

    /** The end of its output, for errors. */
    public String logTail() {
        try {
            List<String> lines = Files.readAllLines(log);
            return String.join("\n", lines.subList(Math.max(0, lines.size() - 20), lines.size()));
        } catch (IOException e) {
            return e.toString();
        }
    }

    /** Ends it as a crash would, and waits until it is gone. */
    public void kill() {
        process.destroyForcibly();
        await(Long.MAX_VALUE);
    }

    /**
     * Waits for its end.
     *
     * @return whether it has come
     */
    public boolean await(long seconds) {
        try {
            return process.waitFor(seconds, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for a process", e);
        }
    }

    /** Asks it to end, and kills it when it does not. */
    @Override
    public void close() {
        process.destroy();
        if (!await(END_SECONDS)) {
            kill();
        }
    }
}
