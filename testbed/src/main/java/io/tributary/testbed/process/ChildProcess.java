// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** A process with its output in a file, which may be killed at any time. */
public final class ChildProcess implements AutoCloseable {

    private static final long START_SECONDS = 60;
    private static final long END_SECONDS = 20;
    private static final long PAUSE_MILLIS = 100;

    /** What a JVM says last of its threads. */
    private static final String DUMP_END = "JNI global refs";

    private final Process process;
    private final Path log;

    private ChildProcess(Process process, Path log) {
        this.process = process;
        this.log = log;
    }

    /**
     * Starts one.
     *
     * @param line the command and its arguments
     * @param log where its output is appended
     */
    public static ChildProcess start(List<String> line, Path log) {
        try {
            Files.createDirectories(log.toAbsolutePath().getParent());
            ProcessBuilder builder =
                    new ProcessBuilder(line)
                            .redirectErrorStream(true)
                            .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
            // Flink's slots, and the trainers, are the threads already.
            builder.environment().putIfAbsent("OMP_NUM_THREADS", "1");
            return new ChildProcess(builder.start(), log);
        } catch (IOException e) {
            throw new UncheckedIOException("%s cannot be started".formatted(line.get(0)), e);
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

    /** Has a JVM write what its threads do to its output, and waits for that. */
    public void dumpThreads() {
        try {
            new ProcessBuilder("kill", "-QUIT", Long.toString(pid())).start().waitFor();
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(END_SECONDS);
            while (!Files.readString(log).contains(DUMP_END) && System.nanoTime() < end) {
                pause();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while a process was looked at", e);
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
