// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.testutils.CoordinatorHarness;
import io.tributary.operators.testutils.Topologies;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.TrainerShare;
import io.tributary.protocol.topology.Topology;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** The counts are what a walk over all entries would find, and nobody walks. */
class TrainersTest {

    private static final Topology TOPOLOGY = Topologies.of(List.of(2, 1), 1);

    /** What a checkpoint would hold. */
    private final Map<String, TrainerEntry> journal = new TreeMap<>();

    private final CoordinatorState state = new CoordinatorState();

    private void journal() {
        state.trainers =
                new Trainers(
                        (trainer, entry) ->
                                entry.ifPresentOrElse(
                                        its -> journal.put(trainer, its),
                                        () -> journal.remove(trainer)));
    }

    /** A history without trainers, and the chance that makes it. */
    private Random begin(int seed) {
        journal.clear();
        state.phase = CoordinatorState.Phase.WAITING;
        journal();
        state.trainers.begin(state.opening, TrainerShare.ALL, false, false);
        return new Random(seed);
    }

    /** One of the things that happen to trainers. */
    private void happen(Random random) {
        String trainer = "t" + random.nextInt(12);
        switch (random.nextInt(8)) {
            case 0, 1 -> TestRounds.join(state, trainer, "g" + random.nextInt(2), "mqtt");
            case 2 -> state.trainers.leave(trainer);
            case 3 -> state.trainers.settle(trainer);
            case 4 -> state.trainers.forgetAbsent(state.oldest(), 4, 3);
            case 5 -> {
                if (state.phase == CoordinatorState.Phase.WAITING) {
                    TestRounds.open(state, TOPOLOGY, 0);
                } else if (random.nextInt(4) == 0) {
                    state.close(true, false, 0);
                    state.ended();
                }
            }
            default -> {
                boolean takes =
                        state.phase == CoordinatorState.Phase.OPEN
                                && state.trainers
                                        .member(trainer)
                                        .filter(e -> !e.countedIn(state.opening))
                                        .isPresent();
                if (takes) {
                    count(trainer, random.nextInt());
                } else if (state.trainers.places() > 0 && random.nextInt(4) == 0) {
                    state.trainers.uncount(random.nextInt(state.trainers.places()));
                }
            }
        }
    }

    private void count(String trainer, int crc) {
        PayloadRef payload = new PayloadRef("/" + trainer, 0, 8, 0);
        TestRounds.count(
                state,
                TOPOLOGY,
                CoordinatorHarness.claim(trainer, state.round, state.roundEpoch, 1, crc, payload),
                false);
    }

    private void assertCounts(Trainers trainers) {
        boolean open = state.phase == CoordinatorState.Phase.OPEN;
        List<String> members =
                journal.keySet().stream().filter(name -> journal.get(name).present()).toList();
        assertThat(trainers.members()).isEqualTo(members.size());
        assertThat(trainers.remembered()).isEqualTo(journal.size());
        assertThat(trainers.awaited()).isEqualTo(members.stream().filter(trainers::awaits).count());
        List<String> counted = new ArrayList<>();
        Map<String, Map<String, Integer>> contributions = new TreeMap<>();
        journal.forEach(
                (trainer, entry) -> {
                    if (open && entry.countedIn(state.opening)) {
                        counted.add(trainer);
                        TrainerEntry.Counted its = entry.counted().orElseThrow();
                        contributions
                                .computeIfAbsent(its.leaf(), leaf -> new TreeMap<>())
                                .merge(its.node(), 1, Integer::sum);
                    }
                });
        assertThat(trainers.counted()).isEqualTo(counted.size());
        assertThat(present(trainers)).containsExactlyInAnyOrderElementsOf(counted);
        Map<String, Map<String, Integer>> kept = new TreeMap<>(trainers.contributions());
        kept.values().removeIf(Map::isEmpty);
        assertThat(kept).isEqualTo(contributions);
        assertThat(trainers.groups().values().stream().mapToInt(GroupCounts::members).sum())
                .isEqualTo(members.size());
        assertThat(trainers.groups().values().stream().mapToInt(GroupCounts::awaited).sum())
                .isEqualTo(trainers.awaited());
        assertThat(trainers.groups().values().stream().mapToInt(GroupCounts::counted).sum())
                .isEqualTo(counted.size());
    }

    private static List<String> present(Trainers trainers) {
        List<String> all = new ArrayList<>();
        for (int place = 0; place < trainers.places(); place++) {
            trainers.at(place).ifPresent(all::add);
        }
        return all;
    }

    @Test
    void theCountsAreWhatAWalkOverAllEntriesFinds() {
        for (int seed = 0; seed < 200; seed++) {
            Random random = begin(seed);
            for (int i = 0; i < 200; i++) {
                happen(random);
                assertCounts(state.trainers);
            }
        }
    }

    /** In whichever order a backend gives entries back. */
    @Test
    void entriesOfACheckpointGiveTheSameCountsAndOrder() {
        for (int seed = 0; seed < 200; seed++) {
            Random random = begin(seed);
            for (int i = 0; i < 100; i++) {
                happen(random);
            }
            Trainers restored = new Trainers((trainer, entry) -> {});
            restored.begin(
                    state.opening,
                    TrainerShare.ALL,
                    state.phase == CoordinatorState.Phase.OPEN,
                    false);
            List<String> order = new ArrayList<>(journal.keySet());
            Collections.shuffle(order, random);
            order.forEach(trainer -> restored.load(trainer, journal.get(trainer)));
            restored.loaded();
            assertCounts(restored);
            assertThat(present(restored)).isEqualTo(present(state.trainers));
        }
    }

    @Test
    void whoIsHeardIsNotTheSilentOne() {
        journal();
        state.trainers.join("a", "i", "g0", "mqtt", 0);
        state.trainers.join("b", "i", "g0", "mqtt", 10);
        state.trainers.join("c", "i", "g0", "mqtt", 20);
        state.trainers.hear("a", 30);
        assertThat(state.trainers.silent(15, 10, 34, 0)).containsExactly("b");
        assertThat(state.trainers.silent(15, 10, 35, 0)).containsExactly("b", "c");
        assertThat(state.trainers.silent(15, 1, 35, 0)).as("at most one").containsExactly("b");
        assertThat(state.trainers.silent(15, 10, 35, 25))
                .as("silence is counted from a restore on")
                .isEmpty();
    }
}
