// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.message.PayloadRef;
import java.util.List;

/**
 * Regions whose updates nobody needs any more.
 *
 * @param payloads what lies in them; at most {@value #MOST}
 * @param checkpointed not before the next checkpoint has completed: it holds their folds
 */
public record RegionReleases(List<PayloadRef> payloads, boolean checkpointed) {

    /** Regions in one record, so that it stays small. */
    static final int MOST = 1000;
}
