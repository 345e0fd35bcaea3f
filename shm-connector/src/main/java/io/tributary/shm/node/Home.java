// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import java.io.IOException;
import java.util.List;

/**
 * What a node does for anybody, whichever node was asked.
 *
 * @param node its name
 * @param shelf its regions
 * @param meetings its counters and barriers
 * @param callees who answers calls
 */
record Home(String node, RegionShelf shelf, Meetings meetings, Callees callees) {

    /**
     * Does what is asked, but for writing, which needs the connection.
     *
     * @param user on whose behalf
     */
    Object answer(int user, NodeRequest.Addressed request) throws IOException {
        requireHere(request.node());
        if (request instanceof NodeRequest.Listing listing) {
            return shelf.list(user, listing.prefix());
        }
        if (request instanceof NodeRequest.Find find) {
            return shelf.find(user, find.name());
        }
        if (request instanceof NodeRequest.Allocate allocate) {
            return shelf.allocate(user, allocate.name(), allocate.length());
        }
        if (request instanceof NodeRequest.Free free) {
            shelf.free(user, free.ref());
            return List.of();
        }
        if (request instanceof NodeRequest.GiveBack back) {
            shelf.giveBack(user, back.ref());
            return List.of();
        }
        if (request instanceof NodeRequest.Grant grant) {
            shelf.grant(user, grant.ref(), new RegionShelf.Reader(grant.id(), grant.group()));
            return List.of();
        }
        if (request instanceof NodeRequest.Add add) {
            return meetings.add(add.counter(), add.delta());
        }
        if (request instanceof NodeRequest.Barrier barrier) {
            return meetings.meet(barrier.name(), barrier.parties(), barrier.patienceMillis());
        }
        if (request instanceof NodeRequest.Call call) {
            return callees.call(call.endpoint(), call.bytes());
        }
        throw new NodeRefusedException("%s cannot be answered so".formatted(request));
    }

    /**
     * @throws NodeRefusedException when another node is meant
     */
    void requireHere(String wanted) throws NodeRefusedException {
        if (!wanted.equals(node)) {
            throw new NodeRefusedException("expected node %s, this is %s".formatted(wanted, node));
        }
    }
}
