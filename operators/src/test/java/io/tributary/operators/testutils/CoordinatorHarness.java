// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.testutils;

import io.tributary.node.PayloadStore;
import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.coordinator.CoordinatorOutputs;
import io.tributary.operators.coordinator.InboundEvent;
import io.tributary.operators.coordinator.OutboundReceipt;
import io.tributary.operators.coordinator.RoundCoordinator;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;

/** A coordinator in Flink's harness, spoken to in its own words. */
public final class CoordinatorHarness implements AutoCloseable {

    public static final String JOB = "job";
    public static final long ATTEMPT = 17;
    private static int nonce;

    /** The submission of the job, also where it is restored. */
    public static final Run RUN = Run.of("secret");

    private final Hand surroundings;
    private final KeyedOneInputStreamOperatorTestHarness<String, InboundEvent, RoundStatus> harness;

    public CoordinatorHarness(
            Topology topology, RoundRules rules, ModelSpec model, OperatorSubtaskState... restored)
            throws Exception {
        this(topology, rules, model, PayloadStore.Place.NONE, restored);
    }

    public CoordinatorHarness(
            Topology topology,
            RoundRules rules,
            ModelSpec model,
            PayloadStore.Place regions,
            OperatorSubtaskState... restored)
            throws Exception {
        this(Backends.HEAP, topology, rules, model, regions, restored);
    }

    /** Another submission of the job. */
    public CoordinatorHarness(
            Run run,
            Topology topology,
            RoundRules rules,
            ModelSpec model,
            OperatorSubtaskState... restored)
            throws Exception {
        this(Backends.HEAP, run, topology, rules, model, PayloadStore.Place.NONE, restored);
    }

    /** The same, with its state in a backend of one's choice. */
    public CoordinatorHarness(
            Backends backend,
            Topology topology,
            RoundRules rules,
            ModelSpec model,
            PayloadStore.Place regions,
            OperatorSubtaskState... restored)
            throws Exception {
        this(backend, RUN, topology, rules, model, regions, restored);
    }

    private CoordinatorHarness(
            Backends backend,
            Run run,
            Topology topology,
            RoundRules rules,
            ModelSpec model,
            PayloadStore.Place regions,
            OperatorSubtaskState... restored)
            throws Exception {
        surroundings = new Hand();
        harness =
                new KeyedOneInputStreamOperatorTestHarness<>(
                        new RoundCoordinator(
                                JOB,
                                run,
                                topology,
                                rules,
                                model,
                                models(model),
                                4,
                                regions,
                                surroundings),
                        event -> JOB,
                        Types.STRING);
        harness.setStateBackend(backend.open());
        harness.setup();
        for (OperatorSubtaskState state : restored) {
            harness.initializeState(state);
        }
        harness.open();
        // Timers of the job before are due when there is one.
        harness.setProcessingTime(Duration.ofDays(restored.length).toMillis());
    }

    /** Where the job of a model has its models. */
    public static PosixModelStore models(ModelSpec model) {
        return PosixModelStore.at(Path.of(model.path()).resolveSibling("models"));
    }

    public void control(ControlMessage.Type type, String trainer, String instance, String group)
            throws Exception {
        send(new TrainerEvent.Control(new ControlMessage(type, JOB, trainer, instance, group)));
    }

    public void join(String trainer, String group) throws Exception {
        control(ControlMessage.Type.JOIN, trainer, "i-" + trainer, group);
    }

    public static Claim claim(
            String trainer, int round, long epoch, long samples, int crc, PayloadRef payload) {
        return new Claim(
                JOB,
                trainer,
                round,
                epoch,
                ATTEMPT,
                samples,
                UpdateKind.WEIGHTS,
                crc,
                true,
                payload,
                Map.of());
    }

    public void update(String trainer, int round, long epoch, int crc) throws Exception {
        send(
                new TrainerEvent.UpdateStaged(
                        claim(trainer, round, epoch, 1, crc, new PayloadRef("/x", 0, 1, 0))));
    }

    public void send(TrainerEvent event) throws Exception {
        send("mqtt", event);
    }

    /** The same by a transport. */
    public void send(String transport, TrainerEvent event) throws Exception {
        harness.processElement(new InboundEvent(transport, event), 0);
    }

    /** Lets timers fire, with the clock as it is. */
    public void tick() throws Exception {
        harness.setProcessingTime(harness.getProcessingTime() + 200);
    }

    /** Lets time go by, during which the job runs. */
    public void run(Duration time) throws Exception {
        for (long left = time.toMillis(); left > 0; left -= 200) {
            surroundings.nanos += Duration.ofMillis(Math.min(200, left)).toNanos();
            tick();
        }
    }

    /** Lets time go by at once, as a pause of the process does. */
    public void pause(Duration time) {
        surroundings.nanos += time.toNanos();
    }

    /** The nonce of the next start. */
    public static void nonce(int next) {
        nonce = next;
    }

    /** A clock that stands still unless it is moved, and chance that is known. */
    private static final class Hand implements Surroundings {
        private static final long serialVersionUID = 1L;
        private long nanos = 1;

        @Override
        public long nanoTime() {
            return nanos;
        }

        @Override
        public long micros() {
            return nanos / 1000;
        }

        @Override
        public int nonce() {
            return nonce;
        }
    }

    public OperatorSubtaskState snapshot(long checkpoint) throws Exception {
        harness.prepareSnapshotPreBarrier(checkpoint);
        return harness.snapshot(checkpoint, checkpoint);
    }

    /** What a job with another backend goes on with. */
    public OperatorSubtaskState leave(Backends before, Backends next) throws Exception {
        return before.leave(harness, next, 1);
    }

    public void completed(long checkpoint) throws Exception {
        harness.notifyOfCompletedCheckpoint(checkpoint);
    }

    public List<RoundStatus> statuses() {
        return harness.extractOutputValues();
    }

    public List<RoundPlan> plans() {
        return side(CoordinatorOutputs.PLANS);
    }

    public RoundPlan plan() {
        return plans().get(plans().size() - 1);
    }

    public List<Receipt> receipts() {
        return outbound().stream().map(OutboundReceipt::receipt).toList();
    }

    /** Receipts with the transports by which they go. */
    public List<OutboundReceipt> outbound() {
        return side(CoordinatorOutputs.RECEIPTS);
    }

    public Receipt receipt() {
        return receipts().get(receipts().size() - 1);
    }

    public List<AggregatorInput> commands(int level) {
        return side(CoordinatorOutputs.level(level));
    }

    public <T> List<T> side(OutputTag<T> tag) {
        List<T> values = new ArrayList<>();
        var records = harness.getSideOutput(tag);
        if (records != null) {
            records.stream().map(StreamRecord::getValue).forEach(values::add);
        }
        return values;
    }

    @Override
    public void close() throws Exception {
        harness.close();
    }
}
