// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PublishedModel;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import io.tributary.shm.flow.LaneSource;
import io.tributary.shm.flow.Outlet;
import io.tributary.shm.region.RegionPool;
import java.util.Optional;

/** How a job hears from its trainers and speaks to them. */
public interface Transport {

    /** Its name, in operators' names. */
    String name();

    /** Where updates come in. */
    LaneSource updates(String job, ModelSpec model);

    /** Where trainers speak of themselves; empty where they do so beside their updates. */
    Optional<LaneSource> control(String job);

    /** Where partial sums lie; empty where they pass through Flink's network. */
    Optional<RegionPool.Place> partials(String job);

    /** What trainers are to do. */
    Outlet.Factory<RoundPlan> plans(String job);

    /** Global models. */
    Outlet.Factory<PublishedModel> models(String job);

    /** Answers to trainers. */
    Outlet.Factory<Receipt> receipts(String job);

    /** How the round stands. */
    Outlet.Factory<RoundStatus> status(String job);

    /** What was refused. */
    Outlet.Factory<DeadLetter> deadLetters(String job);
}
