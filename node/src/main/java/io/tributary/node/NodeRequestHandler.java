// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.io.IOException;
import java.util.List;

/**
 * What a node does for anybody, whichever node was asked.
 *
 * @param node its name
 * @param store its regions
 * @param counters its counters
 * @param barriers its barriers
 * @param endpoints who answers calls
 */
record NodeRequestHandler(
        String node,
        LocalRegionStore store,
        CounterService counters,
        BarrierService barriers,
        EndpointRegistry endpoints) {

    /**
     * Does what is asked, but for writing, which needs the connection.
     *
     * @param user on whose behalf
     */
    Object answer(int user, NodeRequest.Addressed request) throws IOException {
        requireHere(request.node());
        if (request instanceof NodeRequest.Listing listing) {
            return store.list(user, listing.prefix());
        }
        if (request instanceof NodeRequest.Find find) {
            return store.find(user, find.name());
        }
        if (request instanceof NodeRequest.Allocate allocate) {
            return store.allocate(user, allocate.name(), allocate.length());
        }
        if (request instanceof NodeRequest.Free free) {
            store.free(user, free.ref());
            return List.of();
        }
        if (request instanceof NodeRequest.GiveBack back) {
            store.giveBack(user, back.ref());
            return List.of();
        }
        if (request instanceof NodeRequest.Grant grant) {
            store.grant(user, grant.ref(), new LocalRegionStore.Reader(grant.id(), grant.group()));
            return List.of();
        }
        if (request instanceof NodeRequest.Add add) {
            return counters.add(add.counter(), add.delta());
        }
        if (request instanceof NodeRequest.Barrier barrier) {
            return barriers.await(barrier.name(), barrier.parties(), barrier.patienceMillis());
        }
        if (request instanceof NodeRequest.Call call) {
            return endpoints.call(call.endpoint(), call.bytes());
        }
        throw new NodeRejectedException("%s cannot be answered so".formatted(request));
    }

    /**
     * @throws NodeRejectedException when another node is meant
     */
    void requireHere(String wanted) throws NodeRejectedException {
        if (!wanted.equals(node)) {
            throw new NodeRejectedException("expected node %s, this is %s".formatted(wanted, node));
        }
    }
}
