// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.source;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.ToLongFunction;

/**
 * Decides which reader reads which lane, and so on which host what comes by it is staged. A lane
 * stays on the host where it was read before while that has room, because what was staged from it
 * lies there. The others go by best fit, the largest first: to the host with the least residual
 * capacity that suffices. A host's capacity is its part of all that is expected, by its number of
 * readers; residual is what the lanes that it has leave of it. Pure.
 */
final class LanePlacement {

    private final Map<Integer, String> readers;
    private final ToLongFunction<LaneSplit> load;
    private final Map<Integer, List<LaneSplit>> dealt = new TreeMap<>();
    private final Map<String, Double> residual = new TreeMap<>();

    /**
     * @param readers the host of each
     * @param load updates that are expected by a lane
     */
    LanePlacement(Map<Integer, String> readers, ToLongFunction<LaneSplit> load) {
        this.readers = readers;
        // A lane of which nothing is known counts too.
        this.load = split -> 1 + load.applyAsLong(split);
        readers.keySet().forEach(reader -> dealt.put(reader, new ArrayList<>()));
    }

    /** Lanes that any host may have. Each reader gets one at least, if there are enough. */
    Map<Integer, List<LaneSplit>> anywhere(Collection<LaneSplit> lanes) {
        double all = lanes.stream().mapToLong(load).sum();
        readers.values().forEach(host -> residual.merge(host, all / readers.size(), Double::sum));
        lanes.stream()
                .sorted(
                        Comparator.comparing((LaneSplit lane) -> !residual.containsKey(lane.host()))
                                .thenComparing(Comparator.comparingLong(load).reversed())
                                .thenComparing(LaneSplit::lane))
                .forEach(lane -> give(lane, host(lane)));
        readers.keySet().forEach(this::atLeastOne);
        return dealt;
    }

    private String host(LaneSplit lane) {
        double needed = load.applyAsLong(lane);
        if (residual.getOrDefault(lane.host(), 0.0) >= needed) {
            return lane.host();
        }
        Optional<String> best =
                residual.keySet().stream()
                        .filter(host -> residual.get(host) >= needed)
                        .min(Comparator.comparingDouble(residual::get));
        // No host has that much left: where the excess is smallest.
        return best.orElseGet(
                () ->
                        residual.keySet().stream()
                                .max(Comparator.comparingDouble(residual::get))
                                .orElseThrow());
    }

    /**
     * Lanes of hosts, each to be read there.
     *
     * @param waiting is given those of hosts without a reader
     */
    Map<Integer, List<LaneSplit>> where(
            Collection<LaneSplit> lanes, Collection<LaneSplit> waiting) {
        for (LaneSplit lane : lanes) {
            if (readers.containsValue(lane.host())) {
                give(lane, lane.host());
            } else {
                waiting.add(lane);
            }
        }
        return dealt;
    }

    private void give(LaneSplit lane, String host) {
        residual.merge(host, (double) -load.applyAsLong(lane), Double::sum);
        int reader =
                readers.keySet().stream()
                        .filter(r -> readers.get(r).equals(host))
                        .min(
                                Comparator.comparingLong(this::load)
                                        .thenComparing(r -> dealt.get(r).size()))
                        .orElseThrow();
        dealt.get(reader).add(lane.at(host));
    }

    private long load(int reader) {
        return dealt.get(reader).stream().mapToLong(load).sum();
    }

    /** A reader without a lane would never hear that the job has ended. */
    private void atLeastOne(int reader) {
        if (!dealt.get(reader).isEmpty()) {
            return;
        }
        Map<Integer, Integer> sizes = new HashMap<>();
        dealt.forEach((r, lanes) -> sizes.put(r, lanes.size()));
        int richest =
                readers.keySet().stream().max(Comparator.comparingInt(sizes::get)).orElseThrow();
        if (sizes.get(richest) > 1) {
            LaneSplit moved = dealt.get(richest).remove(sizes.get(richest) - 1);
            dealt.get(reader).add(moved.at(readers.get(reader)));
        }
    }
}
