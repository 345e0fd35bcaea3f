// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.region.TensorFile;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.transport.mqtt.BrokerUnavailableException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.Optional;
import java.util.UUID;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A trainer's side of a job, over MQTT, Kafka or shared memory, blocking.
 *
 * <pre>{@code
 * try (TrainerClient client = TrainerClient.builder()
 *         .job("demo").id("hospital-7").group("eu").transport("mqtt://broker:1883")
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
    private static final Duration JOIN_AGAIN = Duration.ofSeconds(2);
    private static final Duration SILENCE = Duration.ofSeconds(30);
    private static final Duration LOOK = Duration.ofMillis(500);
    private static final Duration LOSS_LOOK = Duration.ofMillis(200);
    private static final Duration NODE_LOST_PAUSE = Duration.ofSeconds(1);
    private static final Duration LONGEST_RECEIPT_TIMEOUT = Duration.ofMinutes(10);
    private static final Duration RELEASE = Duration.ofSeconds(5);
    private static final Duration ASK_AGAIN = Duration.ofSeconds(10);

    private final Identity self;
    private final Duration receiptTimeout;
    private final Path directory;
    private final Inbox inbox;
    private final TrainerConnection connection;
    private final Pulse pulse;
    private final EvaluationAnswers answers;
    private final CurrentModel model = new CurrentModel();
    private Optional<RoundId> taken = Optional.empty();

    /** Whether the job takes this trainer's word that values are finite. */
    private boolean promises = true;

    private volatile boolean closed;

    TrainerClient(
            String job,
            String trainer,
            String group,
            TrainerTransport transport,
            Optional<Path> parent,
            Duration receiptTimeout,
            Duration heartbeat,
            ModelEvaluator evaluator) {
        this.self = new Identity(job, trainer, UUID.randomUUID().toString(), group);
        this.receiptTimeout = receiptTimeout;
        this.directory = ModelDownload.directory(parent, trainer);
        this.inbox = new Inbox(self.trainer(), self.instance(), directory);
        try {
            this.connection = transport.connect(self, directory, inbox);
        } catch (RuntimeException e) {
            deleteDirectory();
            throw e;
        }
        this.answers = new EvaluationAnswers(evaluator, connection);
        this.pulse = new Pulse(trainer, connection, inbox, heartbeat);
    }

    /** Begins to describe a client. */
    public static TrainerClientBuilder builder() {
        return new TrainerClientBuilder();
    }

    /** This trainer's id. */
    public String id() {
        return self.trainer();
    }

    /**
     * Takes part from now on. Waits for the job, asking again while it does not answer.
     *
     * @throws TrainerException when the job rejects it, with the job's reason
     */
    public void join() {
        while (!join(SILENCE)) {
            LOG.warn(
                    "{}: job '{}' has not answered for {} s; asking again",
                    id(),
                    self.job(),
                    SILENCE.toSeconds());
        }
    }

    /**
     * The same, for a while.
     *
     * @return whether the job has answered
     * @throws TrainerException when the job rejects it, with the job's reason
     */
    public boolean join(Duration patience) {
        long end = System.nanoTime() + patience.toNanos();
        forgetReceipts();
        while (!askToJoin(JOIN_AGAIN)) {
            if (System.nanoTime() > end) {
                return false;
            }
        }
        return true;
    }

    /** Becomes known to the job again. False if it has not answered in time; it may be over. */
    private boolean follow(Duration patience) {
        forgetReceipts();
        return askToJoin(patience);
    }

    private boolean askToJoin(Duration patience) {
        connection.sendControl(Type.JOIN);
        Optional<Receipt> answer = await(inbox::joinReceipt, patience);
        if (answer.isEmpty()) {
            return false;
        }
        if (answer.get().status() != Receipt.Status.JOINED) {
            throw new TrainerException(answer.get().reason(), answer.get().text());
        }
        if (inbox.joined(answer.get())) {
            taken = Optional.empty();
            connection.requestModel();
        }
        pulse.begin();
        return true;
    }

    private void forgetReceipts() {
        connection.forgetReceipts();
        inbox.forgetReceipts();
    }

    /** Waits for something from the job, and looks for it now and then in case nobody says so. */
    private <T> Optional<T> await(Supplier<Optional<T>> wanted, Duration timeout) {
        return await(wanted, timeout, LOOK, () -> false);
    }

    /** The same, looking that often, and only until {@code inVain}. */
    private <T> Optional<T> await(
            Supplier<Optional<T>> wanted, Duration timeout, Duration look, BooleanSupplier inVain) {
        long end = System.nanoTime() + timeout.toNanos();
        Optional<T> found = Optional.empty();
        for (long rest = timeout.toNanos();
                found.isEmpty() && rest > 0 && !inVain.getAsBoolean();
                rest = end - System.nanoTime()) {
            connection.poll();
            found = inbox.await(wanted, Duration.ofNanos(Math.min(rest, look.toNanos())));
        }
        return found;
    }

    /**
     * Waits for the next round and for its model.
     *
     * @return empty when all rounds are done
     * @throws TrainerException when there is none within {@code timeout}
     */
    public Optional<TrainingRound> awaitRound(Duration timeout) {
        long end = System.nanoTime() + timeout.toNanos();
        Optional<Inbox.Task> found = Optional.empty();
        while (found.isEmpty()) {
            Duration rest = Duration.ofNanos(end - System.nanoTime());
            if (rest.isNegative()) {
                throw new TrainerException(
                        RejectReason.NONE,
                        "job '%s': no new round within %s%s"
                                .formatted(
                                        self.job(),
                                        timeout,
                                        inbox.unsupported()
                                                .map(why -> "; what it says cannot be read: " + why)
                                                .orElse("")));
            }
            found =
                    await(
                            () -> inbox.task(taken, answers.last()),
                            shorter(rest, ASK_AGAIN),
                            LOOK,
                            inbox::otherRun);
            if (inbox.otherRun()) {
                follow(shorter(rest, JOIN_AGAIN));
                found = Optional.empty();
            } else if (found.isEmpty() && inbox.starves(taken)) {
                connection.requestModel();
            } else if (found.isEmpty()) {
                inbox.doubt();
            } else if (found.get().plan().asked() != null) {
                answers.answer(found.get().plan(), round(found.get()));
                found = Optional.empty();
            }
        }
        Inbox.Task task = found.get();
        if (task.model().isEmpty()) {
            return Optional.empty();
        }
        taken = Optional.of(task.plan().id());
        return Optional.of(round(task));
    }

    private TrainingRound round(Inbox.Task task) {
        TensorFile opened = model.open(task.model().orElseThrow());
        return new TrainingRound(task.plan(), opened, connection.regions());
    }

    private static Duration shorter(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }

    /**
     * Sends an update and waits for its receipt, sending again as long as none comes. The update
     * must not be touched afterwards: its memory may be given to others.
     *
     * @return COMMITTED or DUPLICATE when the update counts, REJECTED with a reason when it does
     *     not
     * @throws BrokerUnavailableException when the broker stays away longer than its patience; the
     *     update may be sent again
     */
    public Receipt send(ModelUpdate update) {
        try {
            return sent(update);
        } finally {
            update.unseal();
        }
    }

    private Receipt sent(ModelUpdate update) {
        update.checkWritten();
        update.complete();
        if (!promises) {
            update.withdrawPromise();
        }
        forgetReceipts();
        Duration timeout = receiptTimeout;
        Optional<Receipt> receipt = Optional.empty();
        while (receipt.isEmpty()) {
            if (inbox.ended()) {
                throw ended(update);
            }
            int losses = losses();
            connection.publish(update);
            Optional<Receipt> answer =
                    await(
                            () -> inbox.updateReceipt(update),
                            timeout,
                            LOSS_LOOK,
                            () -> losses != losses() || inbox.otherRun());
            if (answer.isEmpty()) {
                timeout = unanswered(update, timeout, losses);
            } else if (!asksAgain(answer.get(), update)) {
                receipt = answer;
            }
        }
        connection.acknowledge(update);
        return receipt.get();
    }

    /**
     * No receipt has come: finds out why, so that the update can be sent again.
     *
     * @param losses what they were before the update was sent
     * @return how long to wait for the next receipt
     */
    private Duration unanswered(ModelUpdate update, Duration timeout, int losses) {
        if (inbox.otherRun()) {
            // A run that goes on with the round takes it, when it knows this trainer.
            follow(JOIN_AGAIN);
            return timeout;
        }
        if (inbox.otherRunEnded() && !follow(timeout)) {
            // Anybody can say so of a run of his own, but then the job answers.
            throw ended(update);
        }
        if (losses != losses()) {
            LOG.info("{}: what was sent for round {} may be lost", id(), update.id());
            return timeout;
        }
        LOG.info("{}: no receipt for round {}, sending again", id(), update.id());
        // The job may be busy with the updates of others; more load would not help it.
        return shorter(timeout.multipliedBy(2), LONGEST_RECEIPT_TIMEOUT);
    }

    /** Whether an answer asks for the update once more. If so, does what has to come before. */
    private boolean asksAgain(Receipt answer, ModelUpdate update) {
        if (answer.reason() == RejectReason.NODE_LOST) {
            forgetReceipts();
            // A host that was lost is not back at once.
            await(Optional::empty, NODE_LOST_PAUSE, NODE_LOST_PAUSE, inbox::ended);
            return true;
        }
        if (answer.reason() == RejectReason.PROMISE_NOT_TAKEN && update.withdrawPromise()) {
            promises = false;
            forgetReceipts();
            // The header can be written again when the job has given the region back.
            await(Optional::empty, RELEASE, LOSS_LOOK, update::released);
            return true;
        }
        if (answer.status() == Receipt.Status.RESEND) {
            forgetReceipts();
            return true;
        }
        if (answer.reason() == RejectReason.UNKNOWN_TRAINER) {
            // The job has lost sight of this trainer; it becomes known, and sends again.
            follow(JOIN_AGAIN);
            return true;
        }
        return false;
    }

    private TrainerException ended(ModelUpdate update) {
        return new TrainerException(
                RejectReason.NONE,
                "job '%s' has ended without an answer to the update for round %s; its ledgers say whether it counts"
                        .formatted(self.job(), update.id()));
    }

    /** Rises when what was sent may be lost: by a broker that went, or a job that was restored. */
    private int losses() {
        return connection.isDurable() ? 0 : connection.connections() + inbox.restores();
    }

    /**
     * Leaves the job and ends the connection. What was handed out of models and updates may still
     * be read; it is of no use to write into it.
     */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        try {
            if (pulse.end()) {
                connection.sendControl(Type.LEAVE);
            }
        } finally {
            end(connection::close);
        }
    }

    private void end(Runnable ending) {
        try {
            ending.run();
        } finally {
            deleteDirectory();
        }
    }

    /** Breaks off without leaving, as a crash would. */
    public void abort() {
        if (closed) {
            return;
        }
        closed = true;
        pulse.end();
        end(connection::abort);
    }

    private void deleteDirectory() {
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            LOG.warn("{}: {} could not be removed: {}", id(), directory, e.getMessage());
        }
    }
}
