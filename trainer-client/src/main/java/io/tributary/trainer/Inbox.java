// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.chunk.ModelChunkHeader;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerShare;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the job has said to this trainer, for the trainer's thread to wait on. Thread-safe. */
final class Inbox {

    private static final Logger LOG = LoggerFactory.getLogger(Inbox.class);

    private final String instance;
    private final String trainer;
    private final Path directory;
    private final List<Receipt> receipts = new ArrayList<>();
    private Optional<RoundPlan> plan = Optional.empty();
    private Optional<RoundPlan> stale = Optional.empty();
    private String run = "";
    private String token = "";
    private int joinedIn;
    private int restoresAtJoin;
    private Optional<ModelDownload> download = Optional.empty();
    private Optional<ModelVersion> model = Optional.empty();
    private long chunks;
    private long chunksBefore;
    private Optional<String> unsupported = Optional.empty();
    private Optional<RuntimeException> failure = Optional.empty();

    Inbox(String trainer, String instance, Path directory) {
        this.trainer = trainer;
        this.instance = instance;
        this.directory = directory;
    }

    /** Takes a plan whose model comes in chunks. */
    synchronized void plan(RoundPlan newest) {
        if (!forged(newest)) {
            plan = Optional.of(newest);
            unsupported = Optional.empty();
            notifyAll();
        }
    }

    /** Takes a receipt. */
    synchronized void receipt(Receipt receipt) {
        receipts.add(receipt);
        notifyAll();
    }

    /** Takes a plan together with where its model is or will be. */
    synchronized void plan(RoundPlan newest, ModelVersion itsModel) {
        if (!forged(newest)) {
            model = Optional.of(itsModel);
            plan(newest);
        }
    }

    private static boolean forged(RoundPlan plan) {
        boolean forged = plan.state() == RoundPlan.State.ENDED && !Run.ends(plan);
        if (forged) {
            LOG.warn(
                    "somebody says that job '{}' has ended, without the proof that only the job can give; it is not believed",
                    plan.job());
        }
        return forged;
    }

    /** What came could not be used. A trainer that waits in vain is told why. */
    synchronized void ignored(String where, RejectedException why) {
        LOG.warn("ignored {}: {}", where, why.getMessage());
        if (why.reason() == RejectReason.UNSUPPORTED) {
            unsupported = Optional.of(why.getMessage());
        }
    }

    /** Why something that the job said could not be understood; empty where all was. */
    synchronized Optional<String> unsupported() {
        return unsupported;
    }

    /** Takes all receipts that there are. */
    synchronized void receipts(List<Receipt> all) {
        receipts.clear();
        receipts.addAll(all);
        notifyAll();
    }

    /** Nothing will come any more. */
    synchronized void fail(RuntimeException why) {
        failure = Optional.of(why);
        notifyAll();
    }

    /**
     * A run of the job has taken this trainer in. What is known of another run is worth nothing:
     * its plan may be kept by a broker long after it has ended.
     *
     * @return whether it is another run than before
     */
    synchronized boolean joined(Receipt receipt) {
        boolean other = !run.equals(receipt.run());
        run = receipt.run();
        token = receipt.token();
        joinedIn = receipt.round();
        restoresAtJoin = receipt.restores();
        stale = plan.filter(p -> !p.run().equals(run));
        plan = ours();
        if (other) {
            discardDownload();
            model = model.filter(ignored -> plan.isPresent());
        }
        return other;
    }

    /** The newest plan, if it is of the run that this trainer belongs to. */
    private Optional<RoundPlan> ours() {
        return plan.filter(p -> p.run().equals(run)).filter(p -> !over(p));
    }

    /**
     * Whether a plan is of a round that was over when this trainer joined: a plan leaves with a
     * checkpoint, so the newest one may be older than the answer to a join. One of a job that has
     * been restored since then is not.
     */
    private boolean over(RoundPlan its) {
        return needsModel(its) && its.round() < joinedIn && its.restores() <= restoresAtJoin;
    }

    /** What the job wants to see beside what this client sends. */
    synchronized String token() {
        return token;
    }

    /** Whether another run of the job has spoken, which may not know this trainer. */
    synchronized boolean otherRun() {
        return plan.filter(p -> !p.run().equals(run) && p.state() != RoundPlan.State.ENDED)
                .filter(p -> !stale.equals(plan))
                .isPresent();
    }

    /**
     * Nothing has come for a while: what was taken for an earlier run's plan may be a later one's,
     * which was there before the answer to the join.
     */
    synchronized void doubt() {
        if (plan.isEmpty()) {
            plan = stale;
        }
        stale = Optional.empty();
    }

    private void discardDownload() {
        download.filter(d -> !d.taken()).ifPresent(ModelDownload::discard);
        download = Optional.empty();
    }

    /** Takes a chunk of a model; those of other runs than this trainer's are of no use to it. */
    synchronized void chunk(ModelChunkHeader header, byte[] bytes) {
        chunks++;
        if (!header.run().equals(run)) {
            return;
        }
        // A job that has gone back wants a model that is older than what is here.
        boolean named = ours().filter(p -> p.model().equals(header.id())).isPresent();
        if (download.filter(d -> d.replacedBy(header) || named && !d.id().equals(header.id()))
                .isPresent()) {
            discardDownload();
        }
        if (download.isEmpty()) {
            download = Optional.of(new ModelDownload(directory, header));
        }
        if (download.get().id().equals(header.id())) {
            download.get().write(header.part(), bytes);
            model = download.map(ModelVersion.class::cast);
        }
        notifyAll();
    }

    /** How often the job has been restored, as far as it has said. */
    synchronized int restores() {
        return ours().map(RoundPlan::restores).orElse(0);
    }

    /** Whether another run, which has taken the job over, says that it has ended. */
    synchronized boolean otherRunEnded() {
        return plan.filter(p -> !p.run().equals(run) && p.state() == RoundPlan.State.ENDED)
                .filter(p -> !stale.equals(plan))
                .isPresent();
    }

    /** Whether the job has said that it answers nobody any more. */
    synchronized boolean ended() {
        return ours().filter(p -> p.state() == RoundPlan.State.ENDED).isPresent();
    }

    /**
     * Something to do: a plan, with its model unless all rounds are done.
     *
     * @param plan the newest plan
     * @param model its model, which from now on belongs to the caller
     */
    record Task(RoundPlan plan, Optional<ModelVersion> model) {}

    /**
     * The newest plan, unless it was taken on before, once its model is there completely. One that
     * asks what its model is worth is there for those that it asks.
     *
     * @param before the round that was taken on
     * @param answered the plan that asked, and was answered
     */
    synchronized Optional<Task> task(Optional<RoundId> before, Optional<RoundPlan> answered) {
        if (ours().isEmpty() || before.equals(plan.map(RoundPlan::id)) && open()) {
            return Optional.empty();
        }
        TrainerShare asked = plan.get().asked();
        if (asked != null && (!asked.has(trainer) || answered.equals(plan))) {
            return Optional.empty();
        }
        if (!needsModel(plan.get())) {
            return Optional.of(new Task(plan.get(), Optional.empty()));
        }
        Optional<ModelVersion> found = model.filter(m -> is(m, plan.get().model()));
        found.ifPresent(ModelVersion::take);
        return found.map(m -> new Task(plan.get(), Optional.of(m)));
    }

    private static boolean needsModel(RoundPlan its) {
        return its.state() == RoundPlan.State.OPEN || its.state() == RoundPlan.State.EVALUATING;
    }

    private boolean open() {
        return plan.orElseThrow().state() == RoundPlan.State.OPEN;
    }

    /**
     * Whether a plan that was not taken on before names a model that is not there, and of models
     * nothing at all has come since this was asked last: what is on its way comes later when it is
     * asked for once more.
     */
    synchronized boolean starves(Optional<RoundId> before) {
        boolean quiet = chunks == chunksBefore;
        chunksBefore = chunks;
        return quiet
                && ours().filter(Inbox::needsModel)
                        .filter(p -> p.asked() == null || p.asked().has(trainer))
                        .filter(p -> p.asked() != null || !before.equals(Optional.of(p.id())))
                        .filter(p -> model.filter(m -> is(m, p.model())).isEmpty())
                        .isPresent();
    }

    private static boolean is(ModelVersion model, RoundId version) {
        return model.id().equals(version) && model.complete();
    }

    /** The answer to this client's join. */
    synchronized Optional<Receipt> joinReceipt() {
        return receipts.stream().filter(r -> r.instance().equals(instance)).findFirst();
    }

    /** The answer to an update. */
    synchronized Optional<Receipt> updateReceipt(ModelUpdate update) {
        return receipts.stream().filter(update::answeredBy).findFirst();
    }

    /** Forgets all receipts, before something is sent that will be answered. */
    synchronized void forgetReceipts() {
        receipts.clear();
    }

    /** Waits until {@code wanted} has a value, at most for {@code timeout}. */
    synchronized <T> Optional<T> await(Supplier<Optional<T>> wanted, Duration timeout) {
        long end = System.nanoTime() + timeout.toNanos();
        try {
            while (true) {
                if (failure.isPresent()) {
                    throw failure.get();
                }
                Optional<T> found = wanted.get();
                long rest = (end - System.nanoTime()) / 1_000_000;
                if (found.isPresent() || rest <= 0) {
                    return found;
                }
                wait(rest);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for the job", e);
        }
    }
}
