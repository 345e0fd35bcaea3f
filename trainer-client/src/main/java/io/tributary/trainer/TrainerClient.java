// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.BrokerUnavailableException;
import io.tributary.protocol.mqtt.MqttLink;
import io.tributary.protocol.mqtt.Publication;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.TensorFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A trainer's side of a job over MQTT, blocking.
 *
 * <pre>{@code
 * try (TrainerClient client = TrainerClient.builder()
 *         .job("demo").id("hospital-7").group("eu").broker(BrokerOptions.of("tcp://broker:1883"))
 *         .connect()) {
 *     client.join();
 *     Optional<TrainingRound> round;
 *     while ((round = client.awaitRound(Duration.ofHours(1))).isPresent()) {
 *         ModelUpdate update = round.get().newUpdate();
 *         update.floats("fc.weight").put(train(round.get().floats("fc.weight")));
 *         client.send(update.samples(1200));
 *     }
 * }
 * }</pre>
 *
 * <p>Its methods belong to one thread. It keeps itself alive at the job from another.
 */
public final class TrainerClient implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(TrainerClient.class);
    private static final int RECEIVE_MAXIMUM = 16;
    private static final Duration LONGEST_RECEIPT_TIMEOUT = Duration.ofMinutes(10);
    private static final long WATCH_MILLIS = 200;

    private final String job;
    private final String id;
    private final String group;
    private final Duration receiptTimeout;
    private final Duration heartbeat;
    private final String instance = UUID.randomUUID().toString();
    private final Topics topics;
    private final Path directory;
    private final Inbox inbox;
    private final MqttLink link;
    private final Thread pulse;
    private Optional<TensorFile> model = Optional.empty();
    private Optional<ModelDownload> modelFile = Optional.empty();
    private Optional<RoundId> taken = Optional.empty();
    private long attempt;
    private volatile boolean joined;

    TrainerClient(
            String job,
            String id,
            String group,
            BrokerOptions broker,
            Optional<Path> parent,
            Duration receiptTimeout,
            Duration heartbeat) {
        this.job = job;
        this.id = id;
        this.group = group;
        this.receiptTimeout = receiptTimeout;
        this.heartbeat = heartbeat;
        this.topics = new Topics(job);
        try {
            this.directory =
                    parent.isPresent()
                            ? Files.createTempDirectory(parent.get(), id + "-")
                            : Files.createTempDirectory("tributary-trainer-");
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "no directory for models can be made in "
                            + parent.map(Path::toString).orElse("the temporary directory"),
                    e);
        }
        this.inbox = new Inbox(topics, instance, directory);
        this.link =
                MqttLink.connect(
                        broker,
                        new MqttLink.Settings(
                                "tributary-%s-%s-%s".formatted(job, id, instance),
                                RECEIVE_MAXIMUM,
                                Optional.of(control(Type.LEAVE))),
                        inbox::accept);
        link.subscribe(List.of(topics.receipt(id), topics.round(), topics.modelChunkFilter()));
        this.pulse = new Thread(this::showLife, "tributary-trainer-" + id);
        pulse.setDaemon(true);
    }

    /** Begins to describe a client. */
    public static TrainerClientBuilder builder() {
        return new TrainerClientBuilder();
    }

    /** This trainer's id. */
    public String id() {
        return id;
    }

    /**
     * Takes part from now on. Waits for the job, asking again while it does not answer.
     *
     * @throws TrainerException when the job refuses, with its reason
     */
    public void join() {
        inbox.forgetReceipts();
        Optional<Receipt> answer = Optional.empty();
        while (answer.isEmpty()) {
            link.publish(control(Type.JOIN));
            answer = inbox.await(inbox::joinReceipt, Duration.ofSeconds(2));
        }
        if (answer.get().status() != Receipt.Status.JOINED) {
            throw new TrainerException(answer.get().reason(), answer.get().text());
        }
        if (!joined) {
            joined = true;
            pulse.start();
        }
    }

    /**
     * Waits for the next round and for its model.
     *
     * @return empty when all rounds are done
     * @throws TrainerException when there is none within {@code timeout}
     */
    public Optional<TrainingRound> awaitRound(Duration timeout) {
        Inbox.Task task =
                inbox.await(() -> inbox.task(taken), timeout)
                        .orElseThrow(
                                () ->
                                        new TrainerException(
                                                RejectReason.NONE,
                                                "job '%s': no new round within %s"
                                                        .formatted(job, timeout)));
        if (task.model().isEmpty()) {
            return Optional.empty();
        }
        use(task.model().get());
        taken = Optional.of(task.plan().id());
        return Optional.of(new TrainingRound(task.plan(), model.orElseThrow(), directory));
    }

    private void use(ModelDownload next) {
        if (modelFile.isPresent() && modelFile.get() == next) {
            return;
        }
        model.ifPresent(TensorFile::close);
        modelFile.ifPresent(ModelDownload::discard);
        modelFile = Optional.of(next);
        model = Optional.of(next.open());
    }

    /**
     * Sends an update and waits for its receipt, sending again as long as none comes. The update's
     * file is gone afterwards.
     *
     * @return COMMITTED or DUPLICATE when the update counts, REJECTED with a reason when it does
     *     not
     * @throws BrokerUnavailableException when the broker stays away longer than its patience; the
     *     update may be sent again
     */
    public Receipt send(ModelUpdate update) {
        inbox.forgetReceipts();
        Duration timeout = receiptTimeout;
        Optional<Receipt> receipt = Optional.empty();
        while (receipt.isEmpty()) {
            publish(update);
            receipt = inbox.await(() -> inbox.updateReceipt(update.id()), timeout);
            if (receipt.isEmpty()) {
                LOG.info("{}: no receipt for round {}, sending again", id, update.id());
                // The job may be busy with the updates of others; more load would not help it.
                timeout = timeout.multipliedBy(2);
                if (timeout.compareTo(LONGEST_RECEIPT_TIMEOUT) > 0) {
                    timeout = LONGEST_RECEIPT_TIMEOUT;
                }
            } else if (receipt.get().reason() == RejectReason.UNKNOWN_TRAINER) {
                // The job has lost sight of this trainer; it becomes known, and sends again.
                join();
                receipt = Optional.empty();
            }
        }
        update.close();
        return receipt.get();
    }

    private void publish(ModelUpdate update) {
        // Time, so that attempts rise from one process of this trainer to the next.
        attempt = Math.max(attempt + 1, System.currentTimeMillis());
        try (MappedFile file = MappedFile.open(update.payload())) {
            int chunkBytes = ChunkPart.MAX_CHUNK_BYTES;
            int crc32c = file.crc32c();
            int chunks = ChunkPart.count(file.length(), chunkBytes);
            Iterator<Publication> all =
                    IntStream.range(0, chunks)
                            .mapToObj(i -> chunk(update, file, crc32c, chunks, i))
                            .iterator();
            link.publish(() -> all);
        }
    }

    private Publication chunk(
            ModelUpdate update, MappedFile file, int crc32c, int chunks, int chunk) {
        int chunkBytes = ChunkPart.MAX_CHUNK_BYTES;
        long offset = (long) chunk * chunkBytes;
        ByteBuffer bytes = file.slice(offset, (int) Math.min(chunkBytes, file.length() - offset));
        ChunkHeader header =
                new ChunkHeader(
                        job,
                        id,
                        update.id().round(),
                        update.id().epoch(),
                        attempt,
                        update.samples(),
                        update.kind(),
                        update.metrics(),
                        new ChunkPart(
                                chunk,
                                chunks,
                                chunkBytes,
                                file.length(),
                                crc32c,
                                ChunkPart.crc(bytes)));
        return Publication.bytes(topics.update(id), bytes, header.toProperties(), false);
    }

    private Publication control(Type type) {
        return Publication.json(
                topics.control(id), new ControlMessage(type, job, id, instance, group), false);
    }

    /** Heartbeats, and one at once after a reconnection: the broker has sent the will. */
    private void showLife() {
        int connections = link.connections();
        long last = System.nanoTime();
        while (joined) {
            try {
                Thread.sleep(WATCH_MILLIS);
                int now = link.connections();
                if (now != connections || System.nanoTime() - last > heartbeat.toNanos()) {
                    last = System.nanoTime();
                    link.publish(control(Type.HEARTBEAT));
                    connections = now;
                }
            } catch (BrokerUnavailableException e) {
                LOG.warn("{}: {}", id, e.getMessage());
            } catch (InterruptedException | IllegalStateException e) {
                return;
            }
        }
    }

    /** Leaves the job and ends the connection. */
    @Override
    public void close() {
        boolean leave = joined;
        joined = false;
        pulse.interrupt();
        try {
            if (leave) {
                link.publish(control(Type.LEAVE));
            }
        } catch (BrokerUnavailableException e) {
            LOG.warn("{}: could not say that it leaves: {}", id, e.getMessage());
        }
        link.close();
        model.ifPresent(TensorFile::close);
        deleteDirectory();
    }

    /** Breaks off without leaving, as a crash would; the broker sends the last will. */
    public void abort() {
        joined = false;
        pulse.interrupt();
        link.abort();
        model.ifPresent(TensorFile::close);
        deleteDirectory();
    }

    private void deleteDirectory() {
        try (var files = Files.list(directory)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
            Files.delete(directory);
        } catch (IOException e) {
            LOG.warn("{}: {} could not be removed: {}", id, directory, e.getMessage());
        }
    }
}
