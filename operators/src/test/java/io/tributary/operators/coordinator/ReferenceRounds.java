// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What the promises say of rounds, in plain sets, for a model-based test. It knows neither entries
 * nor counters nor how an ending is spread over turns.
 */
final class ReferenceRounds {

    /** What is to become of an update. */
    enum Outcome {
        COUNTS,
        DUPLICATE,
        REJECTED
    }

    /**
     * A client that takes part.
     *
     * @param instance which
     * @param transport by which it speaks
     */
    record Client(String instance, String transport) {}

    /**
     * What a trainer has found out about a model.
     *
     * @param value of the one metric
     * @param samples its weight
     */
    record Answer(double value, long samples) {}

    private static final long MAX_STEP_NANOS = 1_000_000_000;

    final int rounds;
    final int minimum;
    final int quorum;
    final long deadlineNanos;
    final RoundRules.Evaluation evaluation;

    Phase phase = Phase.WAITING;
    int round = 1;
    RoundId id = new RoundId(0, 0);
    Map<String, Client> members = new TreeMap<>();
    Set<String> awaited = new TreeSet<>();
    Set<String> gone = new TreeSet<>();

    /** For whom the open round has waited at first. */
    Set<String> waited = new TreeSet<>();

    /** Those for whom it does not wait any more, since what they sent was rejected for good. */
    Set<String> settled = new TreeSet<>();

    Map<String, Integer> counted = new TreeMap<>();

    /** Where the updates lie that count. */
    Map<String, PayloadRef> payloads = new TreeMap<>();

    Map<RoundId, Map<String, Integer>> closed = new HashMap<>();

    /** The model that trainers were last asked about; none at first. */
    RoundId asked = new RoundId(0, -1);

    Map<String, Answer> answers = new TreeMap<>();

    /** What was found out about models. */
    Map<RoundId, Map<String, Answer>> evaluated = new HashMap<>();

    long ran;
    long deadline;

    /** A clock's value at the event before; none after a restore. */
    long last = -1;

    ReferenceRounds(
            int rounds,
            int minimum,
            int quorum,
            long deadlineNanos,
            RoundRules.Evaluation evaluation) {
        this.rounds = rounds;
        this.minimum = minimum;
        this.quorum = quorum;
        this.deadlineNanos = deadlineNanos;
        this.evaluation = evaluation;
    }

    /** Time goes by as the job counts it. */
    void advance(long nanos) {
        if (last >= 0) {
            ran += Math.min(Math.max(0, nanos - last), MAX_STEP_NANOS);
        }
        last = nanos;
    }

    ReferenceRounds copy() {
        ReferenceRounds copy =
                new ReferenceRounds(rounds, minimum, quorum, deadlineNanos, evaluation);
        copy.phase = phase;
        copy.round = round;
        copy.id = id;
        copy.members = new TreeMap<>(members);
        copy.awaited = new TreeSet<>(awaited);
        copy.gone = new TreeSet<>(gone);
        copy.waited = new TreeSet<>(waited);
        copy.settled = new TreeSet<>(settled);
        copy.counted = new TreeMap<>(counted);
        copy.payloads = new TreeMap<>(payloads);
        copy.closed = new HashMap<>(closed);
        copy.asked = asked;
        copy.answers = new TreeMap<>(answers);
        copy.evaluated = new HashMap<>(evaluated);
        copy.ran = ran;
        copy.deadline = deadline;
        return copy;
    }

    private boolean foreign(String trainer, String transport) {
        return members.containsKey(trainer) && !members.get(trainer).transport().equals(transport);
    }

    void join(String trainer, Client client, boolean sole) {
        Client before = members.get(trainer);
        boolean replaces = sole && before != null && before.transport().equals(client.transport());
        if (before == null || before.equals(client) || replaces) {
            members.put(trainer, client);
            boolean waits = phase == Phase.OPEN || phase == Phase.EVALUATING;
            if (waits && gone.remove(trainer)) {
                awaited.add(trainer);
            }
        }
    }

    void leave(String trainer, Client client) {
        if (client.equals(members.get(trainer))) {
            members.remove(trainer);
            if (awaited.remove(trainer)) {
                gone.add(trainer);
            }
        }
    }

    void settle(String trainer, RoundId its, String transport) {
        if (phase == Phase.OPEN && its.equals(id) && !foreign(trainer, transport)) {
            if (awaited.remove(trainer)) {
                settled.add(trainer);
            }
        }
    }

    /** An update that was to be folded at the close cannot be: it is as if it had not come. */
    void lose(String trainer) {
        counted.remove(trainer);
        payloads.remove(trainer);
        if (waited.contains(trainer) && !settled.contains(trainer)) {
            (members.containsKey(trainer) ? awaited : gone).add(trainer);
        }
    }

    Outcome update(String trainer, RoundId its, int crc, String transport, PayloadRef payload) {
        if (foreign(trainer, transport)) {
            return Outcome.REJECTED;
        }
        boolean open = phase == Phase.OPEN && its.equals(id);
        Integer first = (open ? counted : closed.getOrDefault(its, Map.of())).get(trainer);
        if (first != null) {
            return first == crc ? Outcome.DUPLICATE : Outcome.REJECTED;
        }
        if (!open || !members.containsKey(trainer)) {
            return Outcome.REJECTED;
        }
        counted.put(trainer, crc);
        payloads.put(trainer, payload);
        awaited.remove(trainer);
        return Outcome.COUNTS;
    }

    /** A trainer says what it has found out about a model. */
    void answer(String trainer, Client client, RoundId model, Answer answer) {
        boolean counts =
                phase == Phase.EVALUATING
                        && client.equals(members.get(trainer))
                        && model.equals(asked)
                        && awaited.remove(trainer);
        if (counts && answer.samples() > 0) {
            answers.put(trainer, answer);
        }
    }

    private boolean evaluates(int modelRound) {
        return evaluation.every() > 0 && modelRound % evaluation.every() == 0;
    }

    /** Asks those whose turn it is, as the job says. */
    private void ask(RoundStateMachine machine) {
        phase = Phase.EVALUATING;
        asked = machine.state().base();
        awaited = new TreeSet<>(members.keySet());
        awaited.removeIf(trainer -> !machine.state().asking.who().has(trainer));
        if (awaited.size() < evaluation.share() * members.size()) {
            throw new AssertionError(awaited + " were asked of " + members.keySet());
        }
        gone = new TreeSet<>();
        answers = new TreeMap<>();
        deadline = ran + evaluation.deadline().toNanos();
    }

    /** Whether the open round is to end now, and if so, whether with a model. */
    private boolean ends() {
        boolean late = deadline != 0 && ran >= deadline;
        return counted.size() >= quorum && awaited.isEmpty() || late;
    }

    /**
     * Takes the decisions that are due.
     *
     * @param machine what is tested; says only how far an ending has been said, and what openings
     *     are called
     */
    void decide(RoundStateMachine machine) {
        boolean more = true;
        while (more) {
            more = false;
            boolean there = members.size() >= minimum;
            if (phase == Phase.WAITING
                    && there
                    && evaluates(round - 1)
                    && !asked.equals(machine.state().base())) {
                ask(machine);
                more = true;
            } else if (phase == Phase.EVALUATING && (awaited.isEmpty() || ran >= deadline)) {
                evaluated.put(asked, answers);
                phase = Phase.WAITING;
                more = true;
            } else if (phase == Phase.WAITING && round > rounds) {
                phase = Phase.FINISHED;
                more = true;
            } else if (phase == Phase.WAITING && there) {
                phase = Phase.OPEN;
                id = new RoundId(round, machine.state().roundEpoch);
                awaited = new TreeSet<>(members.keySet());
                gone = new TreeSet<>();
                waited = new TreeSet<>(members.keySet());
                settled = new TreeSet<>();
                counted = new TreeMap<>();
                payloads = new TreeMap<>();
                deadline = deadlineNanos == 0 ? 0 : ran + deadlineNanos;
                more = true;
            } else if (phase == Phase.OPEN && ends()) {
                if (counted.size() >= quorum) {
                    closed.put(id, new TreeMap<>(counted));
                    round++;
                }
                phase = Phase.CLOSING;
                more = true;
            } else if (phase == Phase.CLOSING && machine.state().phase != Phase.CLOSING) {
                boolean made = closed.containsKey(id);
                boolean last = made && round > rounds && !evaluates(rounds);
                phase = last ? Phase.FINISHED : Phase.WAITING;
                more = true;
            } else if (phase == Phase.FINISHED && members.isEmpty()) {
                phase = Phase.ENDED;
            }
        }
    }
}
