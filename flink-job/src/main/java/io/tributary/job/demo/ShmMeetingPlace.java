// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.demo;

import io.tributary.job.graph.ShmTransport;
import io.tributary.job.graph.Transport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.shm.agent.AgentOptions;
import io.tributary.shm.agent.NodeAgent;
import io.tributary.shm.region.JobDirectory;
import io.tributary.shm.region.SharedMemory;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Shared memory, with a node agent of its own. */
final class ShmMeetingPlace implements MeetingPlace {

    private static final Logger LOG = LoggerFactory.getLogger(ShmMeetingPlace.class);
    private static final long LOOK_MILLIS = 20;

    private final WorkDirectory directory;
    private final long quotaBytes;
    private final int port;
    private final NodeAgent agent;

    /**
     * @param parent where regions are made
     */
    ShmMeetingPlace(Path parent, long quotaBytes) throws IOException {
        this.directory = WorkDirectory.create(parent, "demo");
        this.quotaBytes = quotaBytes;
        this.port = EmbeddedBroker.freePort();
        this.agent =
                NodeAgent.start(
                        new AgentOptions(
                                port,
                                AgentOptions.Bpf.AUTO,
                                directory.path(),
                                Set.of((int) Files.getAttribute(directory.path(), "unix:uid"))));
    }

    @Override
    public Transport forJob() {
        return new ShmTransport(directory.path().toString(), quotaBytes, port);
    }

    @Override
    public io.tributary.trainer.Transport forTrainers() {
        return io.tributary.trainer.Transport.shm(directory.path(), port);
    }

    @Override
    public String description() {
        SharedMemory memory = SharedMemory.of(directory.path());
        return "Shared memory: %s, descriptors by %s%s"
                .formatted(
                        directory.path(),
                        agent.mode(),
                        memory.enough() ? "" : "; " + memory.description());
    }

    @Override
    public String trainerOptions() {
        return "--transport shm --dir %s --agent-port %d".formatted(directory.path(), port);
    }

    @Override
    public AutoCloseable follow(RoundBoard board) {
        JobDirectory files = JobDirectory.of(directory.path(), Demo.JOB);
        Thread reader =
                new Thread(
                        () -> {
                            LineReader status = new LineReader(files.status());
                            LineReader models = new LineReader(files.modelLog());
                            try {
                                while (true) {
                                    status.read(
                                            line ->
                                                    board.status(
                                                            Json.decode(line, RoundStatus.class)));
                                    models.read(
                                            line ->
                                                    board.model(
                                                            Json.decode(
                                                                    line, ModelDescription.class)));
                                    Thread.sleep(LOOK_MILLIS);
                                }
                            } catch (InterruptedException e) {
                                // Closed.
                            } catch (IOException e) {
                                LOG.error("the job's directory cannot be followed", e);
                            }
                        },
                        "round-board");
        reader.setDaemon(true);
        reader.start();
        return reader::interrupt;
    }

    /** Reads lines as they are added to a file. */
    private static final class LineReader {

        private final Path file;
        private long position;

        LineReader(Path file) {
            this.file = file;
        }

        void read(Consumer<byte[]> out) throws IOException {
            if (!Files.exists(file)) {
                return;
            }
            try (RandomAccessFile in = new RandomAccessFile(file.toFile(), "r")) {
                byte[] bytes = new byte[(int) (in.length() - position)];
                in.seek(position);
                in.readFully(bytes);
                String text = new String(bytes, StandardCharsets.UTF_8);
                int whole = text.lastIndexOf('\n') + 1;
                text.substring(0, whole)
                        .lines()
                        .forEach(line -> out.accept(line.getBytes(StandardCharsets.UTF_8)));
                position += text.substring(0, whole).getBytes(StandardCharsets.UTF_8).length;
            }
        }
    }

    @Override
    public void close() {
        agent.close();
        directory.close();
    }
}
