// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.operators.aggregate.SubtaskAffinity;
import io.tributary.operators.coordinator.AggregationPlacement.Deal;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.topology.Topology;
import io.tributary.protocol.topology.Topology.Node;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;

/** All that the coordinator remembers of a job. Mutable; only reached through Flink state. */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public final class CoordinatorState {

    static final TypeInformation<CoordinatorState> TYPE = StreamType.json(CoordinatorState.class);

    /** Closed rounds whose participants are remembered, to tell DUPLICATE from LATE. */
    private static final int REMEMBERED_ROUNDS = 16;

    /** What a round is doing. */
    enum Phase {
        WAITING,
        OPEN,
        FINISHED,
        ENDED
    }

    /**
     * A trainer that takes part.
     *
     * @param instance the client object that joined
     * @param group its group
     * @param leaf the tree node that folds its updates
     * @param transport the scheme of the transport by which it speaks; empty where that is not
     *     known
     * @param heard when it was last heard of, in the time in which trainers could be heard, ns
     */
    record Member(String instance, String group, String leaf, String transport, long heard) {

        /** One of a version with one transport does not name it. */
        @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
        static Member read(JsonNode json) {
            return new Member(
                    json.required("instance").asText(),
                    json.required("group").asText(),
                    json.required("leaf").asText(),
                    json.path("transport").asText(),
                    json.required("heard").asLong());
        }
    }

    /**
     * An update that counts.
     *
     * @param claim it
     * @param group its trainer's group
     * @param leaf the tree node that folds it
     */
    record AcceptedUpdate(Claim claim, String group, String leaf) {}

    /**
     * A round that is over.
     *
     * @param id which
     * @param crcs for each trainer that took part, the CRC32C of its update
     */
    record ClosedRound(RoundId id, Map<String, Integer> crcs) {}

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
    long roundEpoch;
    int modelRound;
    long modelEpoch;
    long deadline;
    long endsAt;
    long lastUpdateMicros;
    int rejected;
    int duplicates;
    Map<String, Member> members = new TreeMap<>();

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

    TreeSet<String> awaited = new TreeSet<>();

    /** Those that were awaited and have left; when they come back in time they are again. */
    TreeSet<String> gone = new TreeSet<>();

    Map<String, AcceptedUpdate> counted = new TreeMap<>();

    List<ClosedRound> closed = new ArrayList<>();

    /** Members of each leaf; follows from the members. */
    private transient Optional<Map<String, Integer>> loads = Optional.empty();

    /** Members, who was heard longest ago first; follows from the members. */
    private transient Optional<LinkedHashSet<String>> byHeard = Optional.empty();

    @JsonIgnore
    RoundId id() {
        return new RoundId(round, roundEpoch);
    }

    Optional<ClosedRound> closedRound(RoundId id) {
        return closed.stream().filter(c -> c.id().equals(id)).findFirst();
    }

    /** Whether all rounds are done. */
    boolean over() {
        return phase == Phase.FINISHED || phase == Phase.ENDED;
    }

    /** The tree that takes updates now. */
    List<List<Node>> tree(Topology topology) {
        return phase == Phase.OPEN && !tree.isEmpty() ? tree : topology.nodes();
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
        awaited = new TreeSet<>(members.keySet());
        counted = new TreeMap<>();
        rejected = 0;
        duplicates = 0;
    }

    /** Takes an update in. */
    void count(Claim claim, Member member, long micros) {
        counted.put(claim.trainer(), new AcceptedUpdate(claim, member.group(), member.leaf()));
        awaited.remove(claim.trainer());
        lastUpdateMicros = micros;
    }

    /**
     * Whether what came by a transport may speak for a trainer: it is that of the member, if there
     * is one. Members of an earlier version, and files, have none.
     */
    boolean speaksOver(String trainer, String transport) {
        Member member = members.get(trainer);
        return member == null
                || member.transport().isEmpty()
                || member.transport().equals(transport);
    }

    /** Whether {@code payload} counts in the open round. */
    boolean counts(PayloadRef payload) {
        return counted.values().stream().anyMatch(c -> c.claim().payload().equals(payload));
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
     * Ends the current round with a model. Its version has the epoch of now: what was made before a
     * restore, and undone by it, has another.
     */
    void close(int rounds, long end) {
        Map<String, Integer> crcs = new TreeMap<>();
        counted.forEach((trainer, c) -> crcs.put(trainer, c.claim().crc32c()));
        closed.add(new ClosedRound(id(), crcs));
        if (closed.size() > REMEMBERED_ROUNDS) {
            closed.remove(0);
        }
        modelRound = round;
        modelEpoch = epoch;
        phase = round < rounds ? Phase.WAITING : Phase.FINISHED;
        endsAt = end;
        round = Math.min(round + 1, rounds);
        forget();
    }

    /** Ends the current opening without a model; the next one has a higher epoch. */
    void abandon() {
        phase = Phase.WAITING;
        epoch = RoundId.next(epoch);
        forget();
    }

    private void forget() {
        awaited = new TreeSet<>();
        gone = new TreeSet<>();
        counted = new TreeMap<>();
        deadline = 0;
    }

    /** The job starts, or is restored, with a nonce that no other start has. */
    void begin(boolean restored, int nonce) {
        epoch = RoundId.epoch(restored ? RoundId.count(epoch) + 1 : 0, nonce);
        restores += restored ? 1 : 0;
        listensSince = listenedNanos;
    }

    /** How many members a leaf has. */
    int load(String leaf) {
        return loads().getOrDefault(leaf, 0);
    }

    private Map<String, Integer> loads() {
        if (loads.isEmpty()) {
            Map<String, Integer> counts = new HashMap<>();
            members.values().forEach(m -> counts.merge(m.leaf(), 1, Integer::sum));
            loads = Optional.of(counts);
        }
        return loads.get();
    }

    private LinkedHashSet<String> byHeard() {
        if (byHeard.isEmpty()) {
            LinkedHashSet<String> order = new LinkedHashSet<>();
            members.entrySet().stream()
                    .sorted(Comparator.comparingLong(m -> m.getValue().heard()))
                    .forEach(m -> order.add(m.getKey()));
            byHeard = Optional.of(order);
        }
        return byHeard.get();
    }

    /** Members that have not been heard for so long, who was heard longest ago first. */
    List<String> silent(long nanos) {
        List<String> silent = new ArrayList<>();
        for (String trainer : byHeard()) {
            long since = Math.max(members.get(trainer).heard(), listensSince);
            if (listenedNanos - since < nanos) {
                break;
            }
            silent.add(trainer);
        }
        return silent;
    }

    /** Its update for the open round is rejected for good, so the round does not wait for it. */
    void rejected(String trainer) {
        awaited.remove(trainer);
    }

    /** Deals all members out to leaves again. */
    void place(BiFunction<Member, Map<String, Integer>, String> leaf) {
        Map<String, Integer> counts = new HashMap<>();
        members.replaceAll(
                (trainer, m) -> {
                    String its = leaf.apply(m, counts);
                    counts.merge(its, 1, Integer::sum);
                    return new Member(m.instance(), m.group(), its, m.transport(), m.heard());
                });
        loads = Optional.of(counts);
    }

    void join(String trainer, Member member) {
        Member before = members.put(trainer, member);
        if (before != null) {
            loads().merge(before.leaf(), -1, Integer::sum);
        }
        loads().merge(member.leaf(), 1, Integer::sum);
        byHeard().remove(trainer);
        byHeard().add(trainer);
        if (gone.remove(trainer)) {
            awaited.add(trainer);
        }
    }

    void remove(String trainer) {
        Member before = members.remove(trainer);
        if (before != null) {
            loads().merge(before.leaf(), -1, Integer::sum);
            byHeard().remove(trainer);
        }
        if (awaited.remove(trainer)) {
            gone.add(trainer);
        }
    }
}
