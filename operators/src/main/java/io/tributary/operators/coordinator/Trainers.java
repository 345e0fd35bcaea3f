// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.TrainerShare;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.function.IntPredicate;

/**
 * All trainers, and what follows from their entries: how many there are of each kind. The counts
 * are kept as entries change, so no question walks over all trainers. Memory is some 300 bytes for
 * each. Not thread-safe.
 */
final class Trainers {

    /** Takes the place of a trainer whose update does not count after all. */
    private static final String NOBODY = "";

    private final Map<String, TrainerEntry> entries = new HashMap<>();

    /** When each that takes part was last heard of, who was heard longest ago first. */
    private final Map<String, Long> heard = new LinkedHashMap<>();

    /** Those that have left and are still remembered, in the order in which they left. */
    private final Set<String> absent = new LinkedHashSet<>();

    private final Map<String, GroupCounts> groups = new TreeMap<>();

    /** For each leaf, how many updates it folds on each host. */
    private final Map<String, Map<String, Integer>> contributions = new TreeMap<>();

    /** Those whose updates count in the round, in that order. */
    private final List<String> accepted = new ArrayList<>();

    /** Told of each entry that changes; without one it is forgotten. */
    private final BiConsumer<String, Optional<TrainerEntry>> journal;

    private int members;
    private int awaited;
    private int counted;

    /** Those that take part, in each bucket of {@link TrainerShare}. */
    private final int[] buckets = new int[TrainerShare.BUCKETS];

    /** Whom the newest opening is for. */
    private TrainerShare share = TrainerShare.ALL;

    /** The newest opening. */
    private int opening;

    /** Whether its round waits for trainers. */
    private boolean waits;

    /** Whether the updates of its round still matter. */
    private boolean counts;

    Trainers(BiConsumer<String, Optional<TrainerEntry>> journal) {
        this.journal = journal;
    }

    /** Begins with the state of a round; entries are loaded next. */
    void begin(int newestOpening, TrainerShare itsShare, boolean open, boolean closing) {
        share = itsShare;
        opening = newestOpening;
        waits = open;
        counts = open || closing;
    }

    /** Takes an entry from a checkpoint. */
    void load(String trainer, TrainerEntry entry) {
        entries.put(trainer, entry);
        tally(trainer, entry, 1);
        if (entry.present()) {
            heard.put(trainer, 0L);
        } else {
            absent.add(trainer);
        }
        if (counts && entry.countedIn(opening)) {
            int number = entry.counted().orElseThrow().number();
            accepted.addAll(Collections.nCopies(Math.max(0, number + 1 - accepted.size()), NOBODY));
            accepted.set(number, trainer);
        }
    }

    /** All entries have been loaded. */
    void loaded() {
        List<String> inOrder = new ArrayList<>(absent);
        inOrder.sort(Comparator.comparingInt(trainer -> entries.get(trainer).left()));
        absent.clear();
        absent.addAll(inOrder);
    }

    Optional<TrainerEntry> get(String trainer) {
        return Optional.ofNullable(entries.get(trainer));
    }

    /** The entry of one that takes part. */
    Optional<TrainerEntry> member(String trainer) {
        TrainerEntry entry = entries.get(trainer);
        return entry != null && entry.present() ? Optional.of(entry) : Optional.empty();
    }

    /** How many take part. */
    int members() {
        return members;
    }

    /** How many take part that are in a bucket of {@link TrainerShare}. */
    int members(int bucket) {
        return buckets[bucket];
    }

    /** How many are remembered, also of those that have left. */
    int remembered() {
        return entries.size();
    }

    /** How many the open round waits for. */
    int awaited() {
        return awaited;
    }

    /** How many updates count in the round. */
    int counted() {
        return counted;
    }

    /** By group. */
    Map<String, GroupCounts> groups() {
        return Collections.unmodifiableMap(groups);
    }

    /** How many updates of a group count in the round. */
    int counted(String group) {
        GroupCounts its = groups.get(group);
        return its == null ? 0 : its.counted;
    }

    /** For each leaf that folds anything in the round, how many updates it folds on each host. */
    Map<String, Map<String, Integer>> contributions() {
        return Collections.unmodifiableMap(contributions);
    }

    /** The length of the list of those whose updates count; some places may be empty. */
    int places() {
        return accepted.size();
    }

    /** Whose update has a place in that list. */
    Optional<String> at(int place) {
        String trainer = accepted.get(place);
        return trainer.equals(NOBODY) ? Optional.empty() : Optional.of(trainer);
    }

    /** The update that has a place in that list. */
    Optional<Counted> update(int place) {
        return at(place).flatMap(trainer -> entries.get(trainer).counted());
    }

    /**
     * Whether what came by a transport may speak for a trainer: it is that of the member, if there
     * is one. Members of an earlier version, and files, have none.
     */
    boolean speaksOver(String trainer, String transport) {
        TrainerEntry entry = entries.get(trainer);
        return entry == null
                || !entry.present()
                || entry.transport().isEmpty()
                || entry.transport().equals(transport);
    }

    /** Whether {@code payload} is the one of a trainer that counts in the round. */
    boolean counts(String trainer, PayloadRef payload) {
        TrainerEntry entry = entries.get(trainer);
        return entry != null
                && counts
                && entry.countedIn(opening)
                && entry.counted().orElseThrow().payload() == Counted.fingerprint(payload);
    }

    /** Whether the open round waits for a trainer, or its word about a model. */
    boolean awaits(String trainer) {
        TrainerEntry entry = entries.get(trainer);
        return entry != null && awaits(trainer, entry);
    }

    private boolean awaits(String trainer, TrainerEntry entry) {
        return waits
                && share.has(trainer)
                && entry.present()
                && entry.since() < opening
                && entry.settled() != opening
                && !entry.countedIn(opening);
    }

    /**
     * A client takes part. Who comes back in the round in which it left is awaited as before.
     *
     * @param now when it is heard, ns of the job's listening time
     */
    void join(String trainer, String instance, String group, String transport, long now) {
        TrainerEntry before = entries.get(trainer);
        boolean same = before != null && (before.present() || before.left() == opening);
        TrainerEntry base =
                before != null
                        ? before
                        : new TrainerEntry(
                                false, "", "", "", opening, 0, 0, Optional.empty(), List.of());
        absent.remove(trainer);
        put(trainer, base.joined(instance, group, transport, same ? before.since() : opening));
        hear(trainer, now);
    }

    /** One that takes part shows that it lives. */
    void hear(String trainer, long now) {
        heard.remove(trainer);
        heard.put(trainer, now);
    }

    /** One takes no more part. It is remembered as long as that makes a difference. */
    void leave(String trainer) {
        TrainerEntry before = entries.get(trainer);
        if (before == null || !before.present()) {
            return;
        }
        heard.remove(trainer);
        if (awaits(trainer, before) || before.remembers()) {
            put(trainer, before.gone(opening));
            absent.add(trainer);
        } else {
            remove(trainer);
        }
    }

    /** An update of one counts. */
    void count(String trainer, Counted update, IntPredicate closed) {
        TrainerEntry before = entries.get(trainer);
        boolean keeps = before.counted().map(c -> closed.test(c.opening())).orElse(false);
        put(trainer, before.counting(update, keeps));
        accepted.add(trainer);
    }

    /** An update that counted in this round does not. */
    void uncount(int place) {
        at(place)
                .ifPresent(
                        trainer -> {
                            accepted.set(place, NOBODY);
                            put(trainer, entries.get(trainer).withoutLast());
                        });
    }

    /** The round is not to wait for one. */
    void settle(String trainer) {
        TrainerEntry before = entries.get(trainer);
        if (before != null && awaits(trainer, before)) {
            put(trainer, before.settledIn(opening));
        }
    }

    /** A round is opened: it waits for those that take part and are in the share. */
    void open(int itsOpening, TrainerShare itsShare) {
        opening = itsOpening;
        share = itsShare;
        waits = true;
        counts = true;
        awaited = in(share, buckets);
        groups.values().forEach(this::ask);
    }

    private void ask(GroupCounts group) {
        group.asked = in(share, group.buckets);
        group.awaited = group.asked;
    }

    private static int in(TrainerShare share, int[] buckets) {
        int in = 0;
        for (int i = 0; i < share.buckets(); i++) {
            in += buckets[(share.from() + i) % TrainerShare.BUCKETS];
        }
        return in;
    }

    /** The round waits for nobody any more; what counts in it is still needed. */
    void close() {
        waits = false;
        awaited = 0;
        groups.values().forEach(group -> group.awaited = 0);
    }

    /** What counts in the round is not needed any more. */
    void closed() {
        counts = false;
        counted = 0;
        groups.values().forEach(group -> group.counted = 0);
        contributions.clear();
        accepted.clear();
    }

    /**
     * Who has not been heard for so long.
     *
     * @param most at most so many, who was heard longest ago first
     * @param now ns of the job's listening time
     * @param since silence is counted from here on
     */
    List<String> silent(long nanos, int most, long now, long since) {
        List<String> silent = new ArrayList<>();
        for (Map.Entry<String, Long> each : heard.entrySet()) {
            if (silent.size() == most || now - Math.max(each.getValue(), since) < nanos) {
                break;
            }
            silent.add(each.getKey());
        }
        return silent;
    }

    /**
     * Forgets those that left before an opening, or too many others.
     *
     * @param before the opening
     * @param keep how many that have left are remembered; those of the round in any case
     * @param most at most so many are forgotten
     * @return how many were looked at
     */
    int forgetAbsent(int before, int keep, int most) {
        int looked = 0;
        while (looked < most && !absent.isEmpty()) {
            String trainer = absent.iterator().next();
            TrainerEntry entry = entries.get(trainer);
            boolean stale = entry == null || entry.present();
            boolean tooMany = entries.size() - members > keep && entry != null;
            if (!stale && (entry.left() == opening || entry.left() >= before && !tooMany)) {
                break;
            }
            absent.remove(trainer);
            looked++;
            if (!stale) {
                remove(trainer);
            }
        }
        return looked;
    }

    private void put(String trainer, TrainerEntry next) {
        TrainerEntry before = entries.put(trainer, next);
        if (before != null) {
            tally(trainer, before, -1);
        }
        tally(trainer, next, 1);
        journal.accept(trainer, Optional.of(next));
    }

    private void remove(String trainer) {
        tally(trainer, entries.remove(trainer), -1);
        journal.accept(trainer, Optional.empty());
    }

    private void tally(String trainer, TrainerEntry entry, int by) {
        GroupCounts group = groups.computeIfAbsent(entry.group(), name -> new GroupCounts());
        if (entry.present()) {
            members += by;
            group.members += by;
            int bucket = TrainerShare.bucket(trainer);
            buckets[bucket] += by;
            group.buckets[bucket] += by;
        }
        if (awaits(trainer, entry)) {
            awaited += by;
            group.awaited += by;
        }
        if (counts && entry.countedIn(opening)) {
            counted += by;
            group.counted += by;
            Counted update = entry.counted().orElseThrow();
            contributions
                    .computeIfAbsent(update.leaf(), leaf -> new TreeMap<>())
                    .merge(update.node(), by, (a, b) -> a + b == 0 ? null : Integer.valueOf(a + b));
        }
    }
}
