// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.RoundEnd;
import io.tributary.operators.coordinator.AggregationPlacement.Deal;
import io.tributary.operators.coordinator.AggregationPlacement.Seat;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.operators.model.LedgerPart;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.topology.Topology;
import java.util.ArrayList;
import java.util.List;

/**
 * What follows from the end of a round. Of an eager round that is first its ledger, some updates at
 * a time, and then, at once, the commands to aggregators, shard after shard, so that few
 * accumulators are alive. No checkpoint comes between the commands: a model is made whole or not at
 * all, and what is said before them is said again, for another version, after a restore. A round
 * that is folded at its close says all at once, so that a fold that fails undoes the close.
 */
@Policy
final class RoundEnding {

    /**
     * How much is said at once.
     *
     * @param parts of a ledger in a turn
     * @param updates in a part
     */
    record Pace(int parts, int updates) {

        /** A turn takes a few milliseconds. */
        static final Pace DEFAULT = new Pace(2, LedgerPart.MAX_UPDATES);
    }

    private final Topology topology;
    private final FoldPlanner planner;
    private final boolean gathers;
    private final int shards;
    private final Pace pace;

    RoundEnding(
            Topology topology,
            RoundRules.Folding folding,
            FoldPlanner planner,
            int shards,
            Pace pace) {
        this.pace = pace;
        this.topology = topology;
        this.planner = planner;
        this.gathers = folding.algorithm().gathers();
        this.shards = shards;
    }

    /** A node of a level that is told that the round is over. */
    private record Place(int level, Seat seat) {}

    /**
     * Says more of the round that is closing.
     *
     * @return whether that was all
     */
    boolean say(CoordinatorState state, RoundEvents events) {
        Closing closing = state.ending().orElseThrow();
        Script script = new Script(state, closing, events);
        if (planner.atClose()) {
            script.commands();
            script.updates();
            for (int part = 0; part < script.parts; part++) {
                script.ledger(part);
            }
            return true;
        }
        int until = Math.min(closing.said() + pace.parts(), script.parts);
        for (int part = closing.said(); part < until; part++) {
            script.ledger(part);
        }
        state.said(until);
        if (until < script.parts) {
            return false;
        }
        script.commands();
        return true;
    }

    /** What is to be said of one round. */
    private final class Script {

        private final CoordinatorState state;
        private final Closing closing;
        private final RoundEvents events;
        private final Deal deal;

        /** Parts of its ledger. */
        private final int parts;

        Script(CoordinatorState state, Closing closing, RoundEvents events) {
            this.state = state;
            this.closing = closing;
            this.events = events;
            this.deal = state.deal(topology);
            int all = (state.trainers.places() + pace.updates() - 1) / pace.updates();
            this.parts = closing.abandoned() ? 0 : Math.max(1, all);
        }

        private List<Place> told() {
            if (closing.abandoned() && planner.atClose()) {
                return List.of();
            }
            List<List<Topology.Node>> tree = state.tree(topology);
            if (gathers) {
                // The top gets all updates of a shard at once, and the levels below it nothing.
                Seat top =
                        new Seat(
                                AggregationPlacement.top(tree, deal), "", state.trainers.counted());
                return List.of(new Place(tree.size() - 1, top));
            }
            List<List<Seat>> seats =
                    AggregationPlacement.seats(tree, state.trainers.contributions(), deal);
            List<Place> told = new ArrayList<>();
            // Of an abandoned round only leaves have something.
            for (int level = 0; level < (closing.abandoned() ? 1 : seats.size()); level++) {
                for (Seat seat : seats.get(level)) {
                    told.add(new Place(level, seat));
                }
            }
            return told;
        }

        void commands() {
            List<Place> told = told();
            RoundEnd end = end();
            for (int shard = 0; shard < shards; shard++) {
                if (planner.atClose() && !closing.abandoned()) {
                    for (int place = 0; place < state.trainers.places(); place++) {
                        fold(told, shard, place);
                    }
                }
                for (Place place : told) {
                    events.command(place.level(), close(shard, place.seat(), end));
                }
            }
        }

        private void fold(List<Place> told, int shard, int place) {
            state.trainers
                    .update(place)
                    .ifPresent(
                            update ->
                                    events.command(
                                            gathers ? told.get(0).level() : 0,
                                            planner.fold(
                                                    gathers
                                                            ? told.get(0).seat().name()
                                                            : AggregationPlacement.leaf(
                                                                    update, deal),
                                                    update.claim().orElseThrow(),
                                                    shard)));
        }

        private AggregatorInput close(int shard, Seat seat, RoundEnd end) {
            return closing.abandoned()
                    ? new DropRound(seat.name(), shard, closing.round())
                    : new CloseNode(
                            seat.name(),
                            shard,
                            closing.round(),
                            seat.parent(),
                            seat.contributions(),
                            end);
        }

        private RoundEnd end() {
            int counted = state.trainers.counted();
            return new RoundEnd(
                    closing.model(),
                    closing.base(),
                    counted,
                    Math.max(counted, closing.trainers()),
                    planner.totals(state),
                    state.lastUpdateMicros);
        }

        /** What becomes of the updates that have waited for the close. */
        void updates() {
            for (int place = 0; place < state.trainers.places(); place++) {
                state.trainers
                        .update(place)
                        .flatMap(Counted::claim)
                        .ifPresent(
                                claim -> {
                                    events.release(claim.payload(), true);
                                    answer(claim);
                                });
            }
        }

        void ledger(int part) {
            int from = part * pace.updates();
            int to = Math.min(from + pace.updates(), state.trainers.places());
            events.ledger(closing, part, from, to, part == parts - 1);
        }

        private void answer(Claim claim) {
            if (gathers && !closing.abandoned()) {
                events.counted(claim);
            }
        }
    }
}
