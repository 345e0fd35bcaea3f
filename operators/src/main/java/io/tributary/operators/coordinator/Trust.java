// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.model.Quarantine.Breach;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import java.util.Map;
import java.util.Optional;

/**
 * Decides whether a writer's word is taken. One that promised finite values and had others is taken
 * at its word no more: what it sends counts when the job has read it. One that changed an update
 * after the job had read it is not heard any more. So a trainer can make the job go back twice at
 * most. Pure.
 */
@Policy
final class Trust {

    private final Map<String, Breach> breaches;

    /**
     * @param breaches what is known of trainers that have broken their word
     */
    Trust(Map<String, Breach> breaches) {
        this.breaches = breaches;
    }

    /** Why an update that would count does not; empty where nothing is in its way. */
    Optional<Verdict.Reject> judge(Claim claim) {
        Breach breach = breaches.get(claim.trainer());
        if (breach == Breach.CHANGE) {
            return Optional.of(
                    Verdict.Reject.of(
                            RejectReason.CHECKSUM,
                            claim,
                            "this trainer changed an update after it had sent it, so nothing of it is taken; its file in quarantine/ beside the models says so"));
        }
        if (breach == Breach.PROMISE && !claim.scanned()) {
            return Optional.of(
                    Verdict.Reject.of(
                            RejectReason.PROMISE_NOT_TAKEN,
                            claim,
                            "an update of this trainer was not finite when it was folded, though it promised so; send it without the promise, and the job says which value it is"));
        }
        return Optional.empty();
    }
}
