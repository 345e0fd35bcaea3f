// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import io.tributary.protocol.message.RegionRef;
import io.tributary.shm.region.RegionLayout.State;

/**
 * A region somewhere.
 *
 * @param ref all of its payload
 * @param state where in its life it is
 * @param identity tells it apart from a later one of its name
 */
public record RegionInfo(RegionRef ref, State state, String identity) {}
