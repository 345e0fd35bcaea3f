// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.tributary.operators.coordinator.CoordinatorState.ClosedRound;
import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.operators.coordinator.TrainerEntry.Past;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.RoundId;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * Reads the trainers of a checkpoint of version 0.1 or before, which kept them all in one JSON
 * value: {@code members}, who is {@code awaited} and has {@code gone}, {@code counted} updates, and
 * the checksums of {@code closed} rounds.
 */
final class EarlierTrainers {

    private final CoordinatorState state;
    private final Map<String, TrainerEntry> entries = new TreeMap<>();
    private final Map<String, List<Past>> past = new HashMap<>();

    private EarlierTrainers(CoordinatorState state) {
        this.state = state;
    }

    /** Whether a state has trainers of an earlier version. */
    static boolean in(CoordinatorState state) {
        return state.earlier().containsKey("members");
    }

    /** Takes them out of a state, which then knows its openings by number. */
    static Map<String, TrainerEntry> take(CoordinatorState state, boolean keepsClaims) {
        EarlierTrainers earlier = new EarlierTrainers(state);
        earlier.rounds();
        earlier.trainers(keepsClaims);
        state.earlier().clear();
        return earlier.entries;
    }

    private JsonNode field(String name) {
        return state.earlier().getOrDefault(name, JsonNodeFactory.instance.objectNode());
    }

    private void rounds() {
        for (JsonNode closed : field("closed")) {
            state.opening++;
            RoundId id = Json.decode(Json.encode(closed.get("id")), RoundId.class);
            state.rounds.add(new ClosedRound(id, state.opening));
            closed.get("crcs")
                    .properties()
                    .forEach(
                            crc ->
                                    past.computeIfAbsent(crc.getKey(), t -> new ArrayList<>())
                                            .add(
                                                    0,
                                                    new Past(
                                                            state.opening,
                                                            crc.getValue().asInt())));
        }
        state.opening += state.phase == Phase.OPEN ? 1 : 0;
    }

    private void trainers(boolean keepsClaims) {
        Set<String> awaited = names("awaited");
        Set<String> gone = names("gone");
        Map<String, Counted> counted = counted(keepsClaims);
        Set<String> all = new HashSet<>(past.keySet());
        field("members").fieldNames().forEachRemaining(all::add);
        all.addAll(gone);
        all.addAll(counted.keySet());
        for (String trainer : all) {
            JsonNode member = field("members").path(trainer);
            // One whose update counts is waited for again, should that be lost.
            boolean waits =
                    awaited.contains(trainer)
                            || gone.contains(trainer)
                            || counted.containsKey(trainer);
            List<Past> its = past.getOrDefault(trainer, List.of());
            entries.put(
                    trainer,
                    new TrainerEntry(
                            !member.isMissingNode(),
                            member.path("instance").asText(),
                            member.path("group").asText(),
                            member.path("transport").asText(),
                            waits ? state.opening - 1 : state.opening,
                            member.isMissingNode() ? state.opening : 0,
                            0,
                            Optional.ofNullable(counted.get(trainer)),
                            its.subList(0, Math.min(TrainerEntry.PAST, its.size()))));
        }
    }

    private Set<String> names(String field) {
        Set<String> names = new HashSet<>();
        field(field).forEach(name -> names.add(name.asText()));
        return names;
    }

    private Map<String, Counted> counted(boolean keepsClaims) {
        Map<String, Counted> all = new HashMap<>();
        field("counted")
                .properties()
                .forEach(
                        update -> {
                            Claim claim =
                                    Json.decode(
                                            Json.encode(update.getValue().get("claim")),
                                            Claim.class);
                            all.put(
                                    update.getKey(),
                                    Counted.of(
                                            claim,
                                            state.opening,
                                            all.size(),
                                            update.getValue().get("leaf").asText(),
                                            host(claim.payload().node()),
                                            keepsClaims));
                        });
        return all;
    }

    private String host(String node) {
        return state.affinities.containsKey(node) ? node : "";
    }
}
