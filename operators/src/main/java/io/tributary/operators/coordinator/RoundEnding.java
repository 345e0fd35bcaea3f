// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.aggregate.AggregatorInput.CloseNode;
import io.tributary.operators.aggregate.AggregatorInput.DropRound;
import io.tributary.operators.aggregate.AggregatorInput.RoundEnd;
import io.tributary.operators.coordinator.AggregationPlacement.Deal;
import io.tributary.operators.coordinator.AggregationPlacement.Seat;
import io.tributary.operators.coordinator.CoordinatorState.Closing;
import io.tributary.operators.coordinator.TrainerEntry.Counted;
import io.tributary.operators.model.LedgerPart;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.topology.Topology;
import java.util.ArrayList;
import java.util.List;

/**
 * What follows from the end of a round, as a row of steps that are counted, so that it can be said
 * a few steps at a time, and gone on with after a restore. First come the commands to aggregators,
 * shard after shard, so that few accumulators are alive; then, some updates at a time, what becomes
 * of the updates.
 */
@Policy
final class RoundEnding {

    /**
     * How much is said at once.
     *
     * @param commands in a turn; a step with updates counts as many as it has
     * @param updates in a step, and so in a part of the ledger
     */
    record Pace(int commands, int updates) {

        /** A turn takes a few milliseconds. */
        static final Pace DEFAULT = new Pace(2 * LedgerPart.MAX_UPDATES, LedgerPart.MAX_UPDATES);
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
     * Says the next steps of the round that is closing.
     *
     * @return whether they were the last
     */
    boolean say(CoordinatorState state, RoundEvents events) {
        Closing closing = state.ending().orElseThrow();
        Script script = new Script(state, closing, events);
        long step = closing.said();
        long end = script.steps();
        for (int budget = pace.commands();
                step < end && (budget > 0 || script.within(step));
                step++) {
            budget -= script.say(step);
        }
        state.said(step);
        return step == end;
    }

    /** The steps of one round. */
    private final class Script {

        private final CoordinatorState state;
        private final Closing closing;
        private final RoundEvents events;
        private final Deal deal;
        private final List<Place> told;

        /** Updates that are folded now, for each shard. */
        private final int folds;

        private final long commands;
        private final int parts;

        Script(CoordinatorState state, Closing closing, RoundEvents events) {
            this.state = state;
            this.closing = closing;
            this.events = events;
            this.deal = state.deal(topology);
            this.told = told();
            int places = state.trainers.places();
            this.folds = planner.atClose() && !closing.abandoned() ? places : 0;
            this.commands = (long) shards * (folds + told.size());
            int all = Math.max(1, (places + pace.updates() - 1) / pace.updates());
            this.parts = closing.abandoned() && !planner.atClose() ? 0 : all;
        }

        private List<Place> told() {
            List<List<Topology.Node>> tree = state.tree(topology);
            if (gathers) {
                // The top gets all updates of a shard at once, and the levels below it nothing.
                Seat top =
                        new Seat(
                                AggregationPlacement.top(tree, deal), "", state.trainers.counted());
                return closing.abandoned() ? List.of() : List.of(new Place(tree.size() - 1, top));
            }
            if (closing.abandoned() && planner.atClose()) {
                return List.of();
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

        /**
         * Whether a checkpoint must not come before a step: a rule that gathers gets all updates of
         * a shard together.
         */
        boolean within(long step) {
            return gathers && step < commands && step % (folds + told.size()) != 0;
        }

        long steps() {
            return commands + parts;
        }

        /** Says a step, and returns what it costs. */
        int say(long step) {
            if (step >= commands) {
                updates((int) (step - commands));
                return pace.updates();
            }
            int shard = (int) (step / (folds + told.size()));
            int at = (int) (step % (folds + told.size()));
            if (at < folds) {
                fold(shard, at);
            } else {
                Place place = told.get(at - folds);
                events.command(place.level(), close(shard, place.seat()));
            }
            return 1;
        }

        private void fold(int shard, int place) {
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

        private AggregatorInput close(int shard, Seat seat) {
            return closing.abandoned()
                    ? new DropRound(seat.name(), shard, closing.round())
                    : new CloseNode(
                            seat.name(),
                            shard,
                            closing.round(),
                            seat.parent(),
                            seat.contributions(),
                            end());
        }

        private RoundEnd end() {
            int counted = state.trainers.counted();
            return new RoundEnd(
                    closing.model(),
                    closing.base(),
                    counted,
                    Math.max(counted, closing.trainers()),
                    state.lastUpdateMicros);
        }

        /** What becomes of some of the updates. */
        private void updates(int part) {
            int from = part * pace.updates();
            int to = Math.min(from + pace.updates(), state.trainers.places());
            for (int place = from; place < to; place++) {
                state.trainers
                        .update(place)
                        .flatMap(Counted::claim)
                        .ifPresent(
                                claim -> {
                                    events.release(claim.payload(), true);
                                    answer(claim);
                                });
            }
            if (!closing.abandoned()) {
                events.ledger(closing, part, from, to, part == parts - 1);
            }
        }

        private void answer(Claim claim) {
            if (gathers && !closing.abandoned()) {
                events.counted(claim);
            }
        }
    }
}
