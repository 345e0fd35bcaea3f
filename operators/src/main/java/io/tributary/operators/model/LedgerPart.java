// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.RoundLedger;
import org.apache.flink.api.common.typeinfo.TypeInformation;

/**
 * Some of the updates that are in a model. A ledger comes in parts, since a round may have a
 * million updates, and a record should be small.
 *
 * @param ledger the ledger with the updates of this part alone
 * @param number of the part, from 0
 * @param last whether there is no other after it
 */
public record LedgerPart(RoundLedger ledger, int number, boolean last) {

    /** How Flink serialises it. */
    public static final TypeInformation<LedgerPart> TYPE = StreamType.json(LedgerPart.class);

    /** Updates in a part, at most. */
    public static final int MAX_UPDATES = 2000;
}
