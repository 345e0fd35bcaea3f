// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.aggregate.AggregatorInput;
import io.tributary.operators.model.LedgerPart;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;

/** What is to be done because of an event. The order matters. */
sealed interface Effect {

    /**
     * Tell all trainers what to do.
     *
     * @param plan what
     */
    record Announce(RoundPlan plan) implements Effect {}

    /**
     * Say how the round stands.
     *
     * @param status how
     */
    record Show(RoundStatus status) implements Effect {}

    /**
     * Answer a trainer.
     *
     * @param receipt the answer, and its way
     */
    record Answer(OutboundReceipt receipt) implements Effect {}

    /**
     * Write down which updates are in a model.
     *
     * @param part some of them
     */
    record Record(LedgerPart part) implements Effect {}

    /**
     * Write down what the evaluator has found out.
     *
     * @param evaluation what
     */
    record Evaluate(Evaluation evaluation) implements Effect {}

    /**
     * Tell operators what was rejected.
     *
     * @param letter what, and why
     */
    record Report(DeadLetter letter) implements Effect {}

    /**
     * Tell an aggregator what to do.
     *
     * @param level its level; 0 is the lowest
     * @param input what to do
     */
    record Command(int level, AggregatorInput input) implements Effect {}

    /**
     * Give the region of a payload back.
     *
     * @param payload it
     * @param checkpointed not before the next checkpoint has completed: it holds the fold
     */
    record Release(PayloadRef payload, boolean checkpointed) implements Effect {}

    /**
     * Keep what is known of a trainer.
     *
     * @param trainer its id
     * @param entry what is known
     */
    record Remember(String trainer, TrainerEntry entry) implements Effect {}

    /**
     * Forget a trainer.
     *
     * @param trainer its id
     */
    record Forget(String trainer) implements Effect {}
}
