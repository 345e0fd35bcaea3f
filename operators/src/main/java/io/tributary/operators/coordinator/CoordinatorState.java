// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import com.fasterxml.jackson.annotation.JsonAnySetter;
import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.operators.coordinator.AggregationPlacement.Deal;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerShare;
import io.tributary.protocol.topology.Topology;
import io.tributary.protocol.topology.Topology.Node;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.apache.flink.api.common.typeinfo.TypeInformation;

/**
 * What the coordinator remembers besides its trainers: a few kilobytes, however many those are.
 * Mutable; a checkpoint gets a copy.
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public final class CoordinatorState {

    static final TypeInformation<CoordinatorState> TYPE = StreamType.json(CoordinatorState.class);

    /** Closed rounds that are remembered, to tell DUPLICATE from LATE. */
    private static final int REMEMBERED_ROUNDS = 16;

    /** What a round is doing. */
    enum Phase {
        WAITING,
        /** Trainers are asked what its model is worth, before it opens. */
        EVALUATING,
        OPEN,
        /** It has ended, and what follows from that is being said. */
        CLOSING,
        FINISHED,
        ENDED
    }

    /**
     * A round that is over.
     *
     * @param id which
     * @param opening its number among all openings
     */
    record ClosedRound(RoundId id, int opening) {}

    Phase phase = Phase.WAITING;

    /** Time in which this job's coordinator ran, ns; {@link JobTime} moves it. */
    long ranNanos;

    /** Time in which its trainers could be heard, ns. */
    long listenedNanos;

    /**
     * Silence is counted from here on: before a restore nobody could be heard by this coordinator.
     */
    long listensSince;

    long epoch;
    int restores;
    int round = 1;

    /** How many rounds have been opened, abandoned ones too; names the newest opening. */
    int opening;

    long roundEpoch;
    int modelRound;
    long modelEpoch;
    long deadline;
    long endsAt;
    long lastUpdateMicros;
    int rejected;
    int duplicates;

    /** The tree of the open round; a restored job may bring another for the next one. */
    List<List<Node>> tree = new ArrayList<>();

    /** The subtasks of each host, in the open round; {@code homes} in state of before. */
    @JsonProperty("homes")
    Map<String, SubtaskAffinity> affinities = new TreeMap<>();

    /**
     * Among how many subtasks the shards of all other nodes are dealt out, in the open round; 0 in
     * a round that an earlier version opened, which left that to Flink's hash.
     */
    int subtasks;

    /** How the open round is folded; empty in one that an earlier version opened. */
    String way = "";

    /**
     * Whether the top's keys are the same at any parallelism, in the open round; not in one that an
     * earlier version opened.
     */
    boolean anyParallelism;

    /** At most one: the round that is closing. */
    List<Closing> closing = new ArrayList<>();

    List<ClosedRound> rounds = new ArrayList<>();

    /** Versions of models that may be evaluated still, the oldest first. */
    List<RoundId> models = new ArrayList<>();

    /** What trainers of the newest opening have measured, and sums that the rule wants. */
    Measured measured = new Measured();

    Totals totals = new Totals();

    /** At most one: the newest word of the evaluator. */
    private List<Evaluation> evaluations = new ArrayList<>();

    /** The run that needs no more rounds; empty where it does. */
    private String enough = "";

    /** What is to be said of the round, or of the job's end; may be empty. */
    String note = "";

    GoalState goal = new GoalState();

    EvaluationState asking = new EvaluationState();

    /** Names of what the optimizer remembers; empty where that is nothing, or is not known. */
    List<String> slots = new ArrayList<>();

    /** Who they are; each has an entry of its own in Flink's state. */
    transient Trainers trainers = new Trainers((trainer, entry) -> {});

    /** What an earlier version wrote here of its trainers; {@link EarlierTrainers} reads it. */
    private final transient Map<String, JsonNode> earlier = new HashMap<>();

    @JsonAnySetter
    private void earlier(String name, JsonNode value) {
        earlier.put(name, value);
    }

    Map<String, JsonNode> earlier() {
        return earlier;
    }

    @JsonIgnore
    RoundId id() {
        return new RoundId(round, roundEpoch);
    }

    /** The number of the opening that is, or was, called so; empty where it is not remembered. */
    OptionalInt opening(RoundId id) {
        if (phase == Phase.OPEN && id().equals(id)) {
            return OptionalInt.of(opening);
        }
        return rounds.stream()
                .filter(c -> c.id().equals(id))
                .mapToInt(ClosedRound::opening)
                .findFirst();
    }

    /** Whether an opening ended with a model, and is remembered. */
    boolean closed(int itsOpening) {
        return rounds.stream().anyMatch(c -> c.opening() == itsOpening);
    }

    /** The oldest opening that is remembered. */
    int oldest() {
        return rounds.isEmpty() ? opening : rounds.get(0).opening();
    }

    /** Whether all rounds are done. */
    boolean over() {
        return phase == Phase.FINISHED
                || phase == Phase.ENDED
                || ending().map(c -> c.next() == Phase.FINISHED).orElse(false);
    }

    /** The round that is closing. */
    Optional<Closing> ending() {
        return closing.stream().findAny();
    }

    /** The tree that takes updates now, or has taken those of the round that is closing. */
    List<List<Node>> tree(Topology topology) {
        boolean its = phase == Phase.OPEN || phase == Phase.CLOSING;
        return its && !tree.isEmpty() ? tree : topology.nodes();
    }

    /** Among which subtasks the open round's folds are dealt out. */
    Deal deal(Topology topology) {
        List<List<Node>> now = tree(topology);
        return new Deal(
                affinities, subtasks, anyParallelism ? now.get(now.size() - 1).get(0).name() : "");
    }

    /** Opens the current round for the trainers that are there. */
    void open(
            long deadlineNanos,
            Topology topology,
            Map<String, SubtaskAffinity> newAffinities,
            int parallelism,
            String itsWay) {
        phase = Phase.OPEN;
        way = itsWay;
        tree = topology.nodes();
        affinities = new TreeMap<>(newAffinities);
        subtasks = parallelism;
        anyParallelism = true;
        roundEpoch = epoch;
        deadline = deadlineNanos;
        opening++;
        trainers.open(opening, TrainerShare.ALL);
        rejected = 0;
        duplicates = 0;
        measured = new Measured();
        totals = new Totals();
        note = "";
    }

    /** Asks some of the trainers that are there what the current model is worth. */
    void evaluate(double share, long deadlineNanos) {
        phase = Phase.EVALUATING;
        roundEpoch = epoch;
        deadline = deadlineNanos;
        opening++;
        asking.begin(base(), share, trainers);
        trainers.open(opening, asking.who());
        rejected = 0;
        duplicates = 0;
        measured = new Measured();
    }

    /** Nobody is asked any more. */
    void endEvaluation() {
        phase = Phase.WAITING;
        deadline = 0;
        trainers.close();
        trainers.closed();
    }

    /** The newest word of the evaluator, or of the trainers that were asked. */
    Optional<Evaluation> evaluation() {
        return evaluations.stream().findAny();
    }

    /** The evaluator has said something new. */
    void evaluated(Evaluation evaluation) {
        evaluations = new ArrayList<>(List.of(evaluation));
    }

    /** A run needs no more rounds; who submits the job anew wants more of it. */
    void enough(Run run, String reason) {
        enough = run.id();
        note = reason;
    }

    /** Whether a run needs no more rounds. */
    boolean enough(Run run) {
        return enough.equals(run.id());
    }

    /** The job begins, or goes on. Another run wants more than the one before has ended with. */
    void judge(Run run, int last) {
        if (!goal.begin(run, ranNanos)) {
            return;
        }
        note = "";
        boolean done = round <= modelRound || over();
        if (modelRound < last && done) {
            // The last round was closing, or asked about, or had finished; it may have been
            // abandoned, or may never have opened.
            round = modelRound + 1;
            phase = phase == Phase.FINISHED ? Phase.WAITING : phase;
            closing =
                    new ArrayList<>(
                            ending().map(its -> its.before(Phase.WAITING)).stream().toList());
        }
    }

    /** Whether a model is one of the newest that the job made, or the one that it began with. */
    boolean made(RoundId version) {
        return models.contains(version)
                || version.equals(base())
                || version.equals(new RoundId(0, 0));
    }

    private void made() {
        models.add(base());
        if (models.size() > REMEMBERED_ROUNDS) {
            models.remove(0);
        }
    }

    /** The version of the model that trainers start from. */
    @JsonIgnore
    RoundId base() {
        return new RoundId(modelRound, modelEpoch);
    }

    /** The version of the model that this round ends with. */
    @JsonIgnore
    RoundId model() {
        return new RoundId(round, epoch);
    }

    /**
     * Ends the current round with a model, and maybe with more to do. Its version has the epoch of
     * now: what was made before a restore, and undone by it, has another.
     */
    void close(boolean more, boolean evaluate, long end) {
        Phase next = more || evaluate ? Phase.WAITING : Phase.FINISHED;
        end(new Closing(id(), model(), base(), false, trainers.members(), next, 0));
        rounds.add(new ClosedRound(id(), opening));
        if (rounds.size() > REMEMBERED_ROUNDS) {
            rounds.remove(0);
        }
        modelRound = round;
        modelEpoch = epoch;
        made();
        endsAt = end;
        round = more ? round + 1 : round;
    }

    /** No more rounds are needed, and none is open. */
    void finish(long end) {
        phase = Phase.FINISHED;
        endsAt = end;
    }

    /** Ends the current opening without a model; the next one has a higher epoch. */
    void abandon() {
        end(new Closing(id(), model(), base(), true, trainers.members(), Phase.WAITING, 0));
        epoch = RoundId.next(epoch);
    }

    private void end(Closing its) {
        phase = Phase.CLOSING;
        closing = new ArrayList<>(List.of(its));
        deadline = 0;
        trainers.close();
    }

    /** So many parts of the ledger have been said. */
    void said(int parts) {
        closing = new ArrayList<>(List.of(ending().orElseThrow().until(parts)));
    }

    /**
     * The round that was closing ends once more, with another version of its model: one that was
     * made after the checkpoint, and is undone, may be known by now.
     */
    private void endAgain(Closing its) {
        if (!its.abandoned()) {
            models.remove(base());
            modelEpoch = epoch;
            made();
        }
        closing =
                new ArrayList<>(
                        List.of(
                                new Closing(
                                        its.round(),
                                        new RoundId(its.model().round(), epoch),
                                        its.base(),
                                        its.abandoned(),
                                        its.trainers(),
                                        its.next(),
                                        0)));
    }

    /** All that follows from the end of the round has been said. */
    void ended() {
        phase = ending().orElseThrow().next();
        closing = new ArrayList<>();
        trainers.closed();
    }

    /** The job starts, or is restored, with a nonce that no other start has. */
    void begin(boolean restored, int nonce) {
        epoch = RoundId.epoch(restored ? RoundId.count(epoch) + 1 : 0, nonce);
        restores += restored ? 1 : 0;
        listensSince = listenedNanos;
        ending().ifPresent(this::endAgain);
    }
}
