// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.operators.coordinator.Admission.Verdict;
import io.tributary.operators.model.Quarantine;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Claim;
import java.util.Optional;

/**
 * Refuses updates that made the job go back, and trainers that could do it again. One that promised
 * finite values and had others is taken at its word no more; one that changed an update after it
 * was looked at is not heard any more. So a trainer can make the job go back twice in a run at
 * most, once by a promise and once by a change.
 */
final class Trust {

    private final Quarantine.Content quarantine;

    Trust(Quarantine.Content quarantine) {
        this.quarantine = quarantine;
    }

    /** Why a trainer's updates are refused. */
    enum Breach {
        PROMISE,
        CHANGE
    }

    /** Why an update does not count, whatever else is said of it; empty where nothing is. */
    Optional<Verdict.Reject> judge(CoordinatorState state, Claim claim) {
        if (quarantine.contains(claim.payload())) {
            return convict(state, claim);
        }
        Breach breach = state.breaches.get(claim.trainer());
        if (breach == Breach.CHANGE) {
            return reject(
                    RejectReason.CHECKSUM,
                    claim,
                    "this trainer changed an earlier update after it had sent it, so its updates are refused in this run");
        }
        return breach == Breach.PROMISE && !claim.scanned()
                ? reject(
                        RejectReason.PROMISE_BROKEN,
                        claim,
                        "an earlier update of this trainer was not finite though it promised so; its promise is not taken any more in this run, send without it")
                : Optional.empty();
    }

    private static Optional<Verdict.Reject> convict(CoordinatorState state, Claim claim) {
        Breach breach = claim.scanned() ? Breach.CHANGE : Breach.PROMISE;
        state.breaches.merge(
                claim.trainer(),
                breach,
                (a, b) -> a == Breach.CHANGE || b == Breach.CHANGE ? Breach.CHANGE : b);
        return breach == Breach.CHANGE
                ? reject(
                        RejectReason.CHECKSUM,
                        claim,
                        "it changed after it was sent, and was not finite when it was folded; write it no more")
                : reject(
                        RejectReason.PROMISE_BROKEN,
                        claim,
                        "it was not finite when it was folded, though its writer promises that all its values are; send it without the promise, and the job says which value it is");
    }

    /** Its region has been released, so it cannot come again. */
    void released(Claim claim) {
        if (quarantine.contains(claim.payload())) {
            quarantine.remove(claim.payload());
        }
    }

    private static Optional<Verdict.Reject> reject(RejectReason reason, Claim claim, String text) {
        return Optional.of(
                new Verdict.Reject(
                        reason,
                        "update from trainer %s for round %s: %s"
                                .formatted(claim.trainer(), claim.id(), text)));
    }
}
