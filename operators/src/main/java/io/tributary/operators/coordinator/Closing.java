// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.CoordinatorState.Phase;
import io.tributary.protocol.message.RoundId;

/**
 * A round that has ended, and how much of what follows has been said.
 *
 * @param round which
 * @param model the version of the model that it ends with
 * @param base the version that trainers started from
 * @param abandoned whether it ends without a model
 * @param trainers those that took part in the job then
 * @param next what comes after
 * @param said how many parts of its ledger have been said
 */
record Closing(
        RoundId round,
        RoundId model,
        RoundId base,
        boolean abandoned,
        int trainers,
        Phase next,
        int said) {

    Closing before(Phase other) {
        return new Closing(round, model, base, abandoned, trainers, other, said);
    }

    Closing until(int part) {
        return new Closing(round, model, base, abandoned, trainers, next, part);
    }
}
