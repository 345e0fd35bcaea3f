// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

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

    /** Enters what it does, for itself alone, into a table. */
    void enter(RequestTable table) {
        here(table, NodeRequest.Listing.class, (user, r) -> store.list(user, r.prefix()));
        here(table, NodeRequest.Find.class, (user, r) -> store.find(user, r.name()));
        here(
                table,
                NodeRequest.Allocate.class,
                (user, r) -> store.allocate(user, r.name(), r.length()));
        here(
                table,
                NodeRequest.Free.class,
                (user, r) -> {
                    store.free(user, r.ref());
                    return List.of();
                });
        here(
                table,
                NodeRequest.GiveBack.class,
                (user, r) -> {
                    store.giveBack(user, r.ref());
                    return List.of();
                });
        here(
                table,
                NodeRequest.Grant.class,
                (user, r) -> {
                    store.grant(user, r.ref(), new LocalRegionStore.Reader(r.id(), r.group()));
                    return List.of();
                });
        here(table, NodeRequest.Add.class, (user, r) -> counters.add(r.counter(), r.delta()));
        here(
                table,
                NodeRequest.Barrier.class,
                (user, r) -> barriers.await(r.name(), r.parties(), r.patienceMillis()));
        here(table, NodeRequest.Call.class, (user, r) -> endpoints.call(r.endpoint(), r.bytes()));
        table.run(
                NodeRequest.Write.class,
                (user, r, channel) -> {
                    requireHere(r.node());
                    store.write(user, r.ref(), channel);
                });
    }

    private <R extends NodeRequest.Addressed> void here(
            RequestTable table, Class<R> type, RequestTable.Answer<R> answer) {
        table.answer(
                type,
                (user, request) -> {
                    requireHere(request.node());
                    return answer.to(user, request);
                });
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
