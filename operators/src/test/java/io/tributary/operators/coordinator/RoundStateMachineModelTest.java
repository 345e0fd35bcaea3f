// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.FoldUpdate;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.coordinator.ReferenceRounds.Answer;
import io.tributary.operators.coordinator.ReferenceRounds.Client;
import io.tributary.operators.coordinator.ReferenceRounds.Outcome;
import io.tributary.operators.coordinator.RoundRules.Timing;
import io.tributary.operators.model.LedgerPart;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.topology.Topology;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/**
 * Random histories of a job, with joins, updates, duplicates, steps of the clock, checkpoints and
 * restores of any of them, against {@link ReferenceRounds}. A history is its seed: {@code
 * -Dtributary.histories=FIRST..LAST} runs others.
 */
class RoundStateMachineModelTest {

    private static final String HISTORIES = System.getProperty("tributary.histories", "0..100000");
    private static final Topology TOPOLOGY = Topologies.of(List.of(2, 1), 2);
    private static final List<String> TRAINERS = List.of("a", "b", "c", "d", "e");
    private static final List<String> TRANSPORTS = List.of("mqtt", "mqtt", "mqtt", "shm");
    private static final int SHARDS = 2;
    private static final int EVENTS = 60;

    @Test
    void everyHistoryKeepsThePromises() {
        String[] ends = HISTORIES.split("\\.\\.");
        LongStream.range(Long.parseLong(ends[0]), Long.parseLong(ends[1]))
                .parallel()
                .forEach(
                        seed -> {
                            try {
                                new History(seed).run();
                            } catch (AssertionError | RuntimeException e) {
                                throw new AssertionError(
                                        "history %d: %s".formatted(seed, e.getMessage()), e);
                            }
                        });
    }

    /**
     * What a checkpoint holds.
     *
     * @param state the coordinator's own
     * @param entries those of its trainers
     * @param said how much had been said
     * @param reference what the reference knew
     */
    private record Checkpoint(
            CoordinatorState state,
            Map<String, TrainerEntry> entries,
            int said,
            ReferenceRounds reference) {}

    /** One history of one job. */
    private static final class History {

        private final Random random;
        private final RoundRules rules;
        private final List<Checkpoint> checkpoints = new ArrayList<>();

        /** All that has left and that no restore has undone. */
        private List<Effect> line = new ArrayList<>();

        /** Versions of models of histories that were undone. */
        private final Set<RoundId> undone = new HashSet<>();

        /** Regions that were given back at once, which no restore undoes. */
        private final Set<PayloadRef> gone = new HashSet<>();

        private final Map<String, Sending> sent = new HashMap<>();
        private final List<RoundId> openings = new ArrayList<>();
        private Map<String, TrainerEntry> entries = new TreeMap<>();
        private RoundStateMachine machine;
        private ReferenceRounds reference;
        private long nanos = 1;
        private int nonce;
        private int claimed;

        History(long seed) {
            random = new Random(seed);
            long deadline = random.nextInt(3) * 2_000_000_000L;
            List<Algorithm> algorithms =
                    List.of(
                            Algorithm.FEDAVG,
                            Algorithm.FEDAVG,
                            Algorithm.named("median", Map.of()));
            Algorithm algorithm = algorithms.get(random.nextInt(3));
            RoundRules.Evaluation evaluation =
                    new RoundRules.Evaluation(
                            Math.max(0, random.nextInt(4) - 1),
                            random.nextBoolean() ? 1 : 0.4,
                            Duration.ofSeconds(3));
            reference = new ReferenceRounds(3, 2, 1 + random.nextInt(3), deadline, evaluation);
            rules =
                    new RoundRules(
                            reference.rounds,
                            new RoundRules.Quorum(reference.minimum, reference.quorum),
                            new RoundRules.Patience(
                                    Duration.ofNanos(deadline), Duration.ZERO, Duration.ofDays(1)),
                            new RoundRules.Folding(
                                    random.nextBoolean() ? Timing.EAGER : Timing.LAZY,
                                    UpdateKind.WEIGHTS,
                                    algorithm,
                                    true),
                            Map.of(),
                            RoundRules.Limits.DEFAULT,
                            Map.of(),
                            "",
                            evaluation,
                            RoundRules.Goal.NONE);
            machine = machine(new CoordinatorState());
            happens(new CoordinatorEvent.Started(++nonce));
        }

        private RoundStateMachine machine(CoordinatorState state) {
            return new RoundStateMachine(
                    new RoundStateMachine.Job("job", Run.of("secret"), TOPOLOGY, SHARDS),
                    rules,
                    new Trust(Map.of()),
                    new Locations(false, TOPOLOGY, 2),
                    new RoundEnding.Pace(3, 2),
                    state);
        }

        void run() {
            for (int event = 0; event < EVENTS; event++) {
                step();
                check();
            }
            end();
            checkLine();
        }

        private void step() {
            String trainer = TRAINERS.get(random.nextInt(TRAINERS.size()));
            switch (random.nextInt(16)) {
                case 0, 1, 2 -> join(trainer, "i" + random.nextInt(2), random.nextBoolean());
                case 3 -> leave(trainer);
                case 4, 5, 6, 7, 8 -> update(trainer, random.nextInt(3));
                case 9 -> inputRejected(trainer);
                case 10 -> time(random.nextInt(5) == 0 ? -1 : random.nextInt(5));
                case 11 -> happens(new CoordinatorEvent.Turn());
                case 12 -> checkpoint();
                case 13, 14 -> answer(trainer, random.nextInt(5));
                default -> {
                    if (!checkpoints.isEmpty() && random.nextInt(3) == 0) {
                        restore(random.nextInt(checkpoints.size()));
                    }
                }
            }
        }

        private List<Effect> happens(CoordinatorEvent event) {
            reference.advance(nanos);
            List<Effect> effects = machine.on(event, new Moment(nanos, nanos / 1000));
            for (Effect effect : effects) {
                if (effect instanceof Effect.Remember remember) {
                    entries.put(remember.trainer(), remember.entry());
                } else if (effect instanceof Effect.Forget forget) {
                    entries.remove(forget.trainer());
                } else if (effect instanceof Effect.Announce announce) {
                    opened(announce.plan());
                } else if (effect instanceof Effect.Release release && !release.checkpointed()) {
                    if (reference.phase == Phase.OPEN) {
                        same("counts", reference.payloads.containsValue(release.payload()), false);
                    }
                    gone.add(release.payload());
                }
                line.add(effect);
            }
            reference.decide(machine);
            return effects;
        }

        private void opened(RoundPlan plan) {
            if (plan.state() == RoundPlan.State.OPEN && machine.state().phase == Phase.OPEN) {
                openings.add(plan.id());
            }
        }

        private List<Effect> inbound(String transport, TrainerEvent event) {
            return happens(new CoordinatorEvent.Inbound(transport, event));
        }

        private String transport() {
            return TRANSPORTS.get(random.nextInt(TRANSPORTS.size()));
        }

        private void control(
                ControlMessage.Type type, String trainer, Client client, boolean sole) {
            String group = TRAINERS.indexOf(trainer) % 2 == 0 ? "g0" : "g1";
            inbound(
                    client.transport(),
                    new TrainerEvent.Control(
                            new ControlMessage(type, "job", trainer, client.instance(), group),
                            sole));
        }

        private void join(String trainer, String instance, boolean sole) {
            Client client = new Client(instance, transport());
            reference.join(trainer, client, sole);
            control(
                    random.nextBoolean() ? ControlMessage.Type.JOIN : ControlMessage.Type.HEARTBEAT,
                    trainer,
                    client,
                    sole);
        }

        private void leave(String trainer) {
            Client client =
                    random.nextBoolean()
                            ? reference.members.getOrDefault(trainer, new Client("i0", "mqtt"))
                            : new Client("i1", transport());
            reference.leave(trainer, client);
            control(ControlMessage.Type.LEAVE, trainer, client, false);
        }

        /** Mostly of the round of now, sometimes of another one, or of none. */
        private RoundId target() {
            return switch (random.nextInt(6)) {
                case 0 ->
                        openings.isEmpty()
                                ? new RoundId(1, 7)
                                : openings.get(random.nextInt(openings.size()));
                case 1 -> new RoundId(1 + random.nextInt(4), machine.state().epoch);
                default -> machine.state().id();
            };
        }

        /**
         * An update that a trainer sends.
         *
         * @param id for which round
         * @param crc of its bytes
         * @param payload where it lies
         */
        private record Sending(RoundId id, int crc, PayloadRef payload) {}

        private PayloadRef region() {
            return new PayloadRef("/x/" + ++claimed, 0, 8, 1);
        }

        /** A new update or, often, the one before, whose region is claimed again. */
        private Sending sending(String trainer, int crc) {
            Sending before = sent.get(trainer);
            if (before == null || gone.contains(before.payload()) || random.nextInt(3) != 0) {
                before = new Sending(target(), crc, region());
                sent.put(trainer, before);
            }
            return before;
        }

        private void update(String trainer, int newCrc) {
            Sending sending = sending(trainer, newCrc);
            RoundId id = sending.id();
            int crc = sending.crc();
            String transport =
                    reference.members.containsKey(trainer) && random.nextInt(8) != 0
                            ? reference.members.get(trainer).transport()
                            : transport();
            Claim claim =
                    new Claim(
                            "job",
                            trainer,
                            id.round(),
                            id.epoch(),
                            1,
                            1 + crc,
                            UpdateKind.WEIGHTS,
                            crc,
                            true,
                            sending.payload(),
                            Map.of());
            Outcome expected = reference.update(trainer, id, crc, transport, sending.payload());
            boolean held = reference.phase == Phase.CLOSING && expected == Outcome.DUPLICATE;
            List<Receipt.Status> answers =
                    inbound(transport, new TrainerEvent.UpdateStaged(claim)).stream()
                            .filter(Effect.Answer.class::isInstance)
                            .map(answer -> ((Effect.Answer) answer).receipt().receipt())
                            .filter(answer -> answer.trainer().equals(trainer))
                            .map(Receipt::status)
                            .toList();
            if (rules.folding().algorithm().gathers() && expected != Outcome.REJECTED || held) {
                // It is answered when its round closes.
                assertThat(answers).doesNotContain(Receipt.Status.REJECTED);
                return;
            }
            assertThat(answers)
                    .as("update of %s for %s", trainer, id)
                    .containsExactly(
                            switch (expected) {
                                case COUNTS -> Receipt.Status.COMMITTED;
                                case DUPLICATE -> Receipt.Status.DUPLICATE;
                                case REJECTED -> Receipt.Status.REJECTED;
                            });
        }

        /** Mostly of the model that trainers are asked about, with samples that may be 0. */
        private void answer(String trainer, int samples) {
            RoundId model = random.nextInt(5) == 0 ? new RoundId(1, 7) : machine.state().base();
            Client client =
                    random.nextInt(5) == 0
                            ? new Client("i1", transport())
                            : reference.members.getOrDefault(trainer, new Client("i0", "mqtt"));
            double value = random.nextInt(100);
            reference.answer(trainer, client, model, new Answer(value, samples));
            Evaluation said =
                    new Evaluation(
                            Run.of("secret").id(),
                            model.round(),
                            model.epoch(),
                            Map.of("accuracy", value),
                            samples,
                            "");
            inbound(
                    client.transport(),
                    new TrainerEvent.Control(
                            new ControlMessage(
                                    ControlMessage.Type.EVALUATION,
                                    "job",
                                    trainer,
                                    client.instance(),
                                    "g0",
                                    said),
                            false));
        }

        private void inputRejected(String trainer) {
            RoundId id = target();
            String transport = transport();
            reference.settle(trainer, id, transport);
            inbound(
                    transport,
                    new TrainerEvent.InputRejected(
                            new DeadLetter(
                                    "x",
                                    trainer,
                                    id.round(),
                                    id.epoch(),
                                    RejectReason.NOT_FINITE,
                                    "NaN"),
                            true,
                            1));
        }

        private void time(int seconds) {
            nanos = Math.max(1, nanos + seconds * 700_000_000L);
            happens(new CoordinatorEvent.Tick());
        }

        private void checkpoint() {
            checkpoints.add(
                    new Checkpoint(
                            Json.decode(Json.encode(machine.state()), CoordinatorState.class),
                            new TreeMap<>(entries),
                            line.size(),
                            reference.copy()));
        }

        private void restore(int which) {
            Checkpoint checkpoint = checkpoints.get(which);
            // Later ones belong to a history that is undone now.
            checkpoints.subList(which + 1, checkpoints.size()).clear();
            line.subList(checkpoint.said(), line.size()).stream()
                    .filter(Effect.Record.class::isInstance)
                    .map(effect -> ((Effect.Record) effect).part().ledger().model())
                    .forEach(undone::add);
            line = new ArrayList<>(line.subList(0, checkpoint.said()));
            entries = new TreeMap<>(checkpoint.entries());
            reference = checkpoint.reference().copy();
            machine = machine(Json.decode(Json.encode(checkpoint.state()), CoordinatorState.class));
            entries.forEach(machine::load);
            Map<String, RejectReason> lost = lost(checkpoint.state());
            lost.keySet().forEach(reference::lose);
            happens(new CoordinatorEvent.Restored(++nonce, lost));
        }

        /** Updates that wait for the close, and whose regions are gone by now. */
        private Map<String, RejectReason> lost(CoordinatorState state) {
            Map<String, RejectReason> lost = new TreeMap<>();
            if (state.phase == Phase.OPEN && random.nextInt(3) == 0) {
                entries.forEach(
                        (trainer, entry) -> {
                            boolean waits =
                                    entry.countedIn(state.opening)
                                            && entry.counted().orElseThrow().claim().isPresent();
                            if (waits && random.nextInt(3) == 0) {
                                lost.put(trainer, RejectReason.PAYLOAD_LOST);
                            }
                        });
            }
            return lost;
        }

        /** The machine and the reference agree, and counters say what a walk over entries says. */
        private void check() {
            CoordinatorState state = machine.state();
            Trainers trainers = state.trainers;
            same("phase", state.phase, reference.phase);
            same("members", trainers.members(), reference.members.size());
            for (String trainer : reference.members.keySet()) {
                same("member", trainers.member(trainer).isPresent(), true);
            }
            if (state.phase == Phase.EVALUATING) {
                same("awaited", trainers.awaited(), reference.awaited.size());
            }
            if (state.phase == Phase.OPEN) {
                same("round", state.id(), reference.id);
                same("awaited", trainers.awaited(), reference.awaited.size());
                same("counted", trainers.counted(), reference.counted.size());
                for (String trainer : reference.awaited) {
                    same("awaited", trainers.awaits(trainer), true);
                }
                int contributions = 0;
                for (Map<String, Integer> hosts : trainers.contributions().values()) {
                    contributions += hosts.values().stream().mapToInt(Integer::intValue).sum();
                }
                same("contributions", contributions, reference.counted.size());
            }
            entries.forEach((t, entry) -> same("entry", trainers.get(t).orElseThrow(), entry));
            same("entries", trainers.remembered(), entries.size());
        }

        /** As an assertion says it, which is too slow for so many. */
        private static void same(String what, Object found, Object expected) {
            if (!found.equals(expected)) {
                throw new AssertionError(
                        "%s: expected %s, but was %s".formatted(what, expected, found));
            }
        }

        /** Whatever has happened, a job whose trainers send what they are asked for ends. */
        private void end() {
            for (int turn = 0; turn < 200 && !machine.state().over(); turn++) {
                for (String trainer : TRAINERS) {
                    Client client =
                            reference.members.getOrDefault(trainer, new Client("i0", "mqtt"));
                    reference.join(trainer, client, false);
                    control(ControlMessage.Type.JOIN, trainer, client, false);
                }
                for (String trainer : TRAINERS) {
                    if (machine.state().phase == Phase.OPEN
                            && !reference.counted.containsKey(trainer)) {
                        RoundId id = machine.state().id();
                        String transport = reference.members.get(trainer).transport();
                        PayloadRef payload = region();
                        reference.update(trainer, id, 9, transport, payload);
                        inbound(
                                transport,
                                new TrainerEvent.UpdateStaged(
                                        new Claim(
                                                "job",
                                                trainer,
                                                id.round(),
                                                id.epoch(),
                                                1,
                                                1,
                                                UpdateKind.WEIGHTS,
                                                9,
                                                true,
                                                payload,
                                                Map.of())));
                    }
                }
                if (machine.state().phase == Phase.EVALUATING && turn % 2 == 0) {
                    TRAINERS.forEach(trainer -> answer(trainer, 1));
                }
                time(1);
                check();
            }
            while (machine.busy()) {
                happens(new CoordinatorEvent.Turn());
            }
            assertThat(machine.state().phase).isIn(Phase.FINISHED, Phase.ENDED);
        }

        private <T> List<T> said(Class<T> type, Predicate<T> which) {
            return line.stream().filter(type::isInstance).map(type::cast).filter(which).toList();
        }

        /** Each model holds each update of its ledger once, and no other. */
        private void checkLine() {
            Map<RoundId, List<LedgerPart>> ledgers =
                    said(Effect.Record.class, all -> true).stream()
                            .map(Effect.Record::part)
                            .collect(Collectors.groupingBy(part -> part.ledger().model()));
            // Of a version that an ending did not come to, there are only some parts.
            ledgers.values().removeIf(parts -> !parts.get(parts.size() - 1).last());
            assertThat(ledgers).hasSize(reference.rounds);
            ledgers.forEach(this::checkModel);
            checkReleases();
            checkEvaluations();
        }

        /** Each answer counts once in the mean of its model, and no other does. */
        private void checkEvaluations() {
            Map<RoundId, Map<String, Double>> found = new HashMap<>();
            for (Effect.Evaluate effect : said(Effect.Evaluate.class, all -> true)) {
                Evaluation its = effect.evaluation();
                assertThat(found.put(its.model(), its.metrics())).as("once").isNull();
            }
            Map<RoundId, Map<String, Double>> expected = new HashMap<>();
            reference.evaluated.forEach(
                    (model, answers) -> {
                        long samples = answers.values().stream().mapToLong(Answer::samples).sum();
                        double sum =
                                answers.values().stream()
                                        .mapToDouble(a -> a.value() * a.samples())
                                        .sum();
                        if (samples > 0) {
                            expected.put(model, Map.of("accuracy", sum / samples));
                        }
                    });
            assertThat(found).isEqualTo(expected);
        }

        private void checkModel(RoundId version, List<LedgerPart> parts) {
            for (int i = 0; i < parts.size(); i++) {
                assertThat(parts.get(i).number()).isEqualTo(i);
                assertThat(parts.get(i).last()).isEqualTo(i == parts.size() - 1);
            }
            RoundLedger first = parts.get(0).ledger();
            RoundId round = new RoundId(first.round(), first.epoch());
            List<RoundLedger.Entry> updates =
                    parts.stream().flatMap(part -> part.ledger().updates().stream()).toList();
            Map<String, String> content =
                    updates.stream()
                            .collect(
                                    Collectors.toMap(
                                            RoundLedger.Entry::trainer, RoundLedger.Entry::crc32c));
            assertThat(content).hasSize(updates.size());
            assertThat(reference.closed.get(round).keySet()).isEqualTo(content.keySet());
            assertThat(undone).doesNotContain(version);
            for (int shard = 0; shard < SHARDS; shard++) {
                checkShard(shard, round, content);
            }
            assertThat(promised(round)).isEqualTo(content.keySet());
        }

        /** A region is given back after its last fold, with a checkpoint, and never before. */
        private void checkReleases() {
            Set<PayloadRef> held = new HashSet<>();
            for (Effect effect : line) {
                if (effect instanceof Effect.Command command
                        && command.input() instanceof FoldUpdate fold) {
                    held.add(fold.payload());
                } else if (effect instanceof Effect.Release release) {
                    if (release.checkpointed()) {
                        held.remove(release.payload());
                    } else {
                        assertThat(held).doesNotContain(release.payload());
                    }
                }
            }
            assertThat(held).isEmpty();
        }

        /** Whose updates for a round were promised to count, and were not lost later. */
        private Set<String> promised(RoundId round) {
            Set<String> promised = new TreeSet<>();
            for (Effect.Answer answer : said(Effect.Answer.class, all -> true)) {
                Receipt receipt = answer.receipt().receipt();
                if (!round.equals(new RoundId(receipt.round(), receipt.epoch()))) {
                    continue;
                }
                if (receipt.status() == Receipt.Status.COMMITTED) {
                    assertThat(promised.add(receipt.trainer())).as("once").isTrue();
                } else if (receipt.reason() == RejectReason.PAYLOAD_LOST) {
                    promised.remove(receipt.trainer());
                }
            }
            return promised;
        }

        private void checkShard(int shard, RoundId round, Map<String, String> content) {
            List<AggregatorInput> commands =
                    said(Effect.Command.class, all -> true).stream()
                            .map(Effect.Command::input)
                            .filter(c -> c.shard() == shard && c.round().equals(round))
                            .toList();
            assertThat(
                            commands.stream()
                                    .filter(FoldUpdate.class::isInstance)
                                    .map(fold -> ((FoldUpdate) fold).trainer()))
                    .containsExactlyInAnyOrderElementsOf(content.keySet());
            int contributions =
                    commands.stream()
                            .filter(CloseNode.class::isInstance)
                            .map(CloseNode.class::cast)
                            .filter(
                                    close ->
                                            close.node().startsWith("r1")
                                                    || rules.folding().algorithm().gathers())
                            .mapToInt(CloseNode::contributions)
                            .sum();
            assertThat(contributions).isEqualTo(content.size());
        }
    }
}
