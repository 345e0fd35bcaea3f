// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.testutils;

import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.awaitility.Awaitility;

/** Debian's Mosquitto as a process of its own, killed at the end. */
public final class Mosquitto implements AutoCloseable {

    private final Process process;

    private Mosquitto(Process process) {
        this.process = process;
    }

    /** Starts it with the given configuration lines besides its listener's. */
    public static Mosquitto start(int port, String... configuration) {
        try {
            Path directory = Files.createTempDirectory("mosquitto-");
            Path file = directory.resolve("mosquitto.conf");
            Files.writeString(
                    file,
                    "listener %d 127.0.0.1%n".formatted(port)
                            + String.join("\n", configuration)
                            + "\nuser root\nmax_queued_messages 0\npersistence false\n");
            Process process =
                    new ProcessBuilder(executable("mosquitto"), "-c", file.toString())
                            .redirectErrorStream(true)
                            .redirectOutput(directory.resolve("log").toFile())
                            .start();
            Awaitility.await()
                    .failFast("mosquitto ended, see " + directory, () -> !process.isAlive())
                    .ignoreExceptions()
                    .until(() -> listens(port));
            return new Mosquitto(process);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Path of an executable; without it the test is skipped, or fails where it is required. */
    public static String executable(String name) {
        Optional<String> found =
                Stream.concat(
                                Stream.of(System.getenv("PATH").split(":")),
                                List.of("/usr/sbin", "/usr/local/sbin").stream())
                        .map(directory -> Path.of(directory, name))
                        .filter(Files::isExecutable)
                        .map(Path::toString)
                        .findFirst();
        if (found.isEmpty()) {
            String what = name + " is missing; on Debian: apt-get install " + name;
            if ("1".equals(System.getenv("TRIBUTARY_REQUIRE_MOSQUITTO"))) {
                throw new AssertionError(what);
            }
            abort(what);
        }
        return found.orElseThrow();
    }

    private static boolean listens(int port) throws IOException {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", port), 500);
            return true;
        }
    }

    /** From now on it keeps its connections and says nothing. */
    public void freeze() throws IOException, InterruptedException {
        signal("STOP");
    }

    public void thaw() throws IOException, InterruptedException {
        signal("CONT");
    }

    private void signal(String name) throws IOException, InterruptedException {
        new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
    }

    @Override
    public void close() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }
}
