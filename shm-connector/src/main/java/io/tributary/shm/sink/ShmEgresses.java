// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.sink;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.JobLock;
import io.tributary.memory.region.RecentReceipts;
import io.tributary.node.PayloadStore;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.sources.base.sink.Egress;
import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;

/**
 * The ways from a job to the trainers on its host.
 *
 * @param job the job's name
 * @param regions the region directory; where there are many hosts, each has its egresses
 * @param quotaBytes bound for all regions of the job
 * @param agentPort where the node agent is
 */
public record ShmEgresses(String job, PayloadStore.Place regions, long quotaBytes, int agentPort)
        implements Serializable {

    private static final long MAX_LOG_BYTES = 4 << 20;
    private static final long LOG_SHARE = 64;

    JobDirectory files() {
        return JobDirectory.of(regions.path(), job);
    }

    private Mailbox mailbox(String purpose) {
        Mailbox mailbox =
                Mailbox.open(regions.path(), agentPort, job + "-" + purpose, descriptor -> {});
        // A client without an id may not send descriptors.
        mailbox.listenHere(EndpointId.of("%s/sink/%s".formatted(job, purpose)));
        return mailbox;
    }

    /**
     * Where there are many hosts, all subtasks of a sink get all values, and of those on a host one
     * sends them.
     */
    private <T> Egress.Factory<T> one(String what, Egress.Factory<T> egresses) {
        if (!regions.manyHosts()) {
            return egresses;
        }
        return purpose ->
                new OneOfHost<>(
                        egresses, purpose, () -> JobLock.one(files().path(), what + "-" + purpose));
    }

    /**
     * One of those of a host, of whom one has its turn. The others try again whenever there is
     * something to be sent, because the one that has it may be of an earlier attempt.
     */
    private static final class OneOfHost<T> implements Egress<T> {

        private final Egress.Factory<T> egresses;
        private final String purpose;
        private final Supplier<Optional<JobLock>> turns;
        private Optional<JobLock> turn = Optional.empty();
        private Optional<Egress<T>> egress = Optional.empty();
        private Optional<T> missed = Optional.empty();

        OneOfHost(Egress.Factory<T> egresses, String purpose, Supplier<Optional<JobLock>> turns)
                throws IOException {
            this.egresses = egresses;
            this.purpose = purpose;
            this.turns = turns;
            take();
        }

        private void take() throws IOException {
            turn = turns.get();
            if (turn.isPresent()) {
                try {
                    egress = Optional.of(egresses.open(purpose));
                } catch (IOException | RuntimeException e) {
                    close();
                    throw e;
                }
            }
        }

        @Override
        public long send(T value) throws IOException {
            if (egress.isEmpty()) {
                take();
            }
            if (egress.isEmpty()) {
                missed = Optional.of(value);
                return 0;
            }
            // The thread that had the turn may have been too late.
            if (missed.isPresent()) {
                egress.get().send(missed.get());
                missed = Optional.empty();
            }
            return egress.get().send(value);
        }

        @Override
        public long flush() throws IOException {
            return egress.isPresent() ? egress.get().flush() : 0;
        }

        @Override
        public int connections() {
            return egress.map(Egress::connections).orElse(0);
        }

        @Override
        public boolean there(T value) {
            try {
                // What was missed while another had the turn is to be sent, if that has gone.
                if (egress.isEmpty()) {
                    take();
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return egress.map(o -> o.there(value)).orElse(true);
        }

        @Override
        public void close() {
            egress.ifPresent(Egress::close);
            turn.ifPresent(JobLock::close);
            egress = Optional.empty();
            turn = Optional.empty();
        }
    }

    /** The round plan. */
    public Egress.Factory<RoundPlan> plans() {
        return one(
                "plans",
                purpose -> {
                    files().quotaBytes(quotaBytes);
                    return egress(
                            mailbox("plans-" + purpose),
                            this::stands,
                            (plan, mailbox) -> {
                                JobDirectory.replace(files().round(), plan);
                                ringAll(mailbox);
                            });
                });
    }

    /** There is something new for all trainers. */
    private void ringAll(Mailbox mailbox) {
        files().trainers().stream()
                .map(f -> f.getFileName().toString())
                .map(f -> f.substring(0, f.length() - ".json".length()))
                .map(trainer -> EndpointId.trainer(job, trainer))
                .forEach(id -> mailbox.send(Descriptor.ring(Kind.PLAN, id)));
    }

    /** Whether the plan's file has that plan; whatever else it has is written over. */
    private boolean stands(RoundPlan plan) {
        try {
            return JobDirectory.read(files().round(), RoundPlan.class)
                    .filter(plan::equals)
                    .isPresent();
        } catch (RejectedException e) {
            return false;
        }
    }

    /** Answers to trainers. */
    public Egress.Factory<Receipt> receipts() {
        return one(
                "receipts",
                purpose ->
                        egress(
                                mailbox("receipts-" + purpose),
                                receipt -> true,
                                (receipt, mailbox) -> {
                                    if (!Files.exists(files().trainer(receipt.trainer()))) {
                                        // It is on another host, or has gone and left nothing.
                                        return;
                                    }
                                    RecentReceipts.add(
                                            files().receipts(receipt.trainer()), receipt);
                                    mailbox.send(
                                            Descriptor.ring(
                                                    Kind.RECEIPT,
                                                    EndpointId.trainer(job, receipt.trainer())));
                                }));
    }

    /** How the round stands, a line for each change. */
    public Egress.Factory<RoundStatus> status() {
        return one("status", purpose -> lines(JobDirectory::status));
    }

    /** What was rejected, a line for each. */
    public Egress.Factory<DeadLetter> deadLetters() {
        return one("dead-letters", purpose -> lines(JobDirectory::deadLetters));
    }

    /**
     * Global models, each a region that trainers map. When a new one is there, those before the one
     * it replaces go; a process that has one mapped keeps it.
     *
     * @param description what is said about a model
     * @param file where it lies
     * @param <M> the models' type
     */
    public <M> Egress.Factory<M> models(Of<M, ModelDescription> description, Of<M, String> file) {
        return one(
                "models",
                purpose -> {
                    Mailbox mailbox = mailbox("models-" + purpose);
                    // A plan may come before its model, which trainers then wait for.
                    return new ModelEgress<>(
                            this,
                            description,
                            file,
                            new ModelEgress.Bell(() -> ringAll(mailbox), mailbox::close));
                });
    }

    /**
     * A function that Flink can ship.
     *
     * @param <M> of what
     * @param <T> what
     */
    @FunctionalInterface
    public interface Of<M, T> extends Function<M, T>, Serializable {}

    @FunctionalInterface
    private interface Send<T> {
        void send(T value, Mailbox mailbox);
    }

    private static <T> Egress<T> egress(Mailbox mailbox, Predicate<T> there, Send<T> send) {
        return new Egress<>() {
            @Override
            public boolean there(T value) {
                return there.test(value);
            }

            @Override
            public long send(T value) {
                send.send(value, mailbox);
                return 0;
            }

            @Override
            public void close() {
                mailbox.close();
            }
        };
    }

    /** Three logs, and what each was before, take a little of what regions may take. */
    long maxLogBytes() {
        return Math.min(MAX_LOG_BYTES, quotaBytes / LOG_SHARE);
    }

    private <T> Egress<T> lines(Function<JobDirectory, Path> file) {
        return new Egress<>() {
            @Override
            public long send(T value) {
                return JobDirectory.append(file.apply(files()), value, maxLogBytes());
            }

            @Override
            public void close() {
                // Nothing is held.
            }
        };
    }
}
