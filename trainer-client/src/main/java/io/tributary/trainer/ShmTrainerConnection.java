// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.Owner;
import io.tributary.memory.region.RecentReceipts;
import io.tributary.memory.region.RegionLayout;
import io.tributary.memory.region.TrainerPresence;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Topics;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/**
 * A trainer's connection over shared memory: its updates are folded where it writes them, the
 * models it maps are the job's. All is in the job's directory; the mailbox says when to look.
 */
final class ShmTrainerConnection implements TrainerConnection {

    private static final Duration PATIENCE = Duration.ofMinutes(5);

    private final Identity self;
    private final JobDirectory files;
    private final EndpointId job;
    private final Inbox inbox;
    private final UpdateRegions regions;
    private final Mailbox mailbox;

    ShmTrainerConnection(Identity self, Path directory, int agentPort, Inbox inbox) {
        this.self = self;
        this.files = JobDirectory.of(directory, self.job());
        this.job = EndpointId.lane(self.job(), Topics.lane(self.trainer()));
        this.inbox = inbox;
        this.regions =
                new UpdateRegions(
                        () -> files.regions(files.quotaBytes()),
                        id -> JobDirectory.updateName(Topics.lane(self.trainer()), id),
                        PATIENCE,
                        Optional.of(files));
        this.mailbox = Mailbox.open(directory, agentPort, self.trainer(), descriptor -> poll());
        mailbox.listen(EndpointId.trainer(self.job(), self.trainer()));
    }

    @Override
    public void sendControl(Type type) {
        Path file = files.trainer(self.trainer());
        if (type == Type.LEAVE) {
            withdraw(file);
        } else {
            appear(file, type == Type.JOIN);
        }
        if (type != Type.HEARTBEAT) {
            mailbox.send(Descriptor.ring(Kind.CONTROL, job));
        }
    }

    @Override
    public void evaluate(Evaluation said) {
        JobDirectory.replace(files.evaluation(self.trainer()), self.says(said));
        mailbox.send(Descriptor.ring(Kind.CONTROL, job));
    }

    /**
     * Writes what this trainer says of itself. A file that is written once more asks once more,
     * also where no agent passes the question on.
     */
    private void appear(Path file, boolean asks) {
        TrainerPresence own =
                new TrainerPresence(
                        self.trainer(), self.instance(), self.group(), Owner.self(files.path()));
        Optional<TrainerPresence> there = JobDirectory.readSmall(file, TrainerPresence.class);
        boolean mine = there.filter(own::equals).isPresent();
        if (mine && !asks) {
            return;
        }
        if (!mine && there.filter(p -> p.owner().alive(file)).isPresent()) {
            throw new TrainerException(
                    RejectReason.DUPLICATE_TRAINER,
                    "trainer %s takes part already, in process %d; choose another id"
                            .formatted(self.trainer(), there.get().owner().pid()));
        }
        JobDirectory.replace(file, own);
    }

    private void withdraw(Path file) {
        try {
            boolean own =
                    JobDirectory.readSmall(file, TrainerPresence.class)
                            .filter(p -> p.instance().equals(self.instance()))
                            .isPresent();
            if (own) {
                Files.deleteIfExists(file);
                Files.deleteIfExists(files.receipts(self.trainer()));
                Files.deleteIfExists(files.evaluation(self.trainer()));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public UpdateRegions regions() {
        return regions;
    }

    @Override
    public void publish(ModelUpdate update) {
        OwnedRegion region = update.owned().region();
        regions.keep(update.owned());
        if (region.released()) {
            // Given back without an answer, by a job that did not know this trainer or began anew.
            region.reuse(update.memory().length());
            update.renewed();
        }
        if (region.writing()) {
            region.publish(
                    update.content(),
                    update.description(self.job(), self.trainer())
                            .encode(RegionLayout.MAX_DESCRIPTION_BYTES));
        }
        mailbox.send(Descriptor.ring(Kind.UPDATE, job, update.owned().id()));
    }

    @Override
    public void acknowledge(ModelUpdate update) {
        // The job releases the region when nothing can need it any more.
        update.owned().answered();
    }

    @Override
    public void makeRoom() {
        regions.makeRoom();
    }

    @Override
    public void forgetReceipts() {
        try {
            Files.deleteIfExists(files.receipts(self.trainer()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Also on the mailbox's thread. A plan that cannot be read keeps no receipt away. */
    @Override
    public void poll() {
        usable(
                () ->
                        JobDirectory.read(files.round(), RoundPlan.class)
                                .ifPresent(
                                        p ->
                                                inbox.plan(
                                                        p,
                                                        new ModelRegion(
                                                                p.model(),
                                                                files.model(p.run(), p.model())))));
        usable(
                () ->
                        inbox.receipts(
                                RecentReceipts.read(files.receipts(self.trainer())).receipts()));
    }

    private void usable(Runnable reading) {
        try {
            reading.run();
        } catch (RejectedException e) {
            inbox.ignored("in " + files.path(), e);
        }
    }

    @Override
    public boolean isDurable() {
        return true;
    }

    @Override
    public void abort() {
        close();
    }

    @Override
    public void close() {
        // Also what a join that was rejected has left: this process lives on, this client does not.
        try (regions;
                mailbox) {
            withdraw(files.trainer(self.trainer()));
        }
    }
}
