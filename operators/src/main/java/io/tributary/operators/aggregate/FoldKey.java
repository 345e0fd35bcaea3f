// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.aggregate;

import io.tributary.protocol.message.RoundId;

/**
 * What a fold is of.
 *
 * @param key the tree node and the shard
 * @param round the opening
 */
record FoldKey(NodeShard key, RoundId round) {}
