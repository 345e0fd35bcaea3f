// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonSubTypes.Type;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import io.tributary.protocol.message.RegionRef;
import java.util.List;
import java.util.UUID;

/** What is asked of a node. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "op")
@JsonSubTypes({
    @Type(value = NodeRequest.Gossip.class, name = "gossip"),
    @Type(value = NodeRequest.Leave.class, name = "leave"),
    @Type(value = NodeRequest.Deliver.class, name = "deliver"),
    @Type(value = NodeRequest.Enter.class, name = "enter"),
    @Type(value = NodeRequest.Members.class, name = "members"),
    @Type(value = NodeRequest.Fetch.class, name = "fetch"),
    @Type(value = NodeRequest.Release.class, name = "release"),
    @Type(value = NodeRequest.Read.class, name = "read"),
    @Type(value = NodeRequest.Listing.class, name = "listing"),
    @Type(value = NodeRequest.Find.class, name = "find"),
    @Type(value = NodeRequest.Allocate.class, name = "allocate"),
    @Type(value = NodeRequest.Write.class, name = "write"),
    @Type(value = NodeRequest.Free.class, name = "free"),
    @Type(value = NodeRequest.GiveBack.class, name = "give-back"),
    @Type(value = NodeRequest.Grant.class, name = "grant"),
    @Type(value = NodeRequest.Add.class, name = "add"),
    @Type(value = NodeRequest.Barrier.class, name = "barrier"),
    @Type(value = NodeRequest.Serve.class, name = "serve"),
    @Type(value = NodeRequest.Call.class, name = "call")
})
sealed interface NodeRequest {

    /**
     * A request as one node sends it to another.
     *
     * @param user id of the user on whose behalf, as the sender found out; -1 for its own
     */
    record Asked(int user, NodeRequest request) {

        /** A request of the node's own. */
        static Asked own(NodeRequest request) {
            return new Asked(-1, request);
        }
    }

    /** Something that one node does, whichever is asked first. */
    sealed interface Addressed extends NodeRequest {

        /** Which one. */
        String node();
    }

    /**
     * A greeting.
     *
     * @param members all living members that the sender knows, itself first
     * @param endpoints those of its host
     */
    record Gossip(List<Member> members, List<String> endpoints) implements NodeRequest {}

    /** Descriptors, 64 bytes each, for endpoints of the receiver's host. */
    record Deliver(List<byte[]> frames) implements NodeRequest {}

    /** The sender leaves. */
    record Leave(Member member) implements NodeRequest {}

    /** Of a process on the host, first: the door has given it this token. */
    record Enter(UUID token) implements NodeRequest {}

    /** Of a process on the host: who is there? */
    record Members() implements NodeRequest {}

    /** Of a process on the host: have this range at hand until it is released. */
    record Fetch(RegionRef ref) implements NodeRequest {}

    /** Of a process on the host: that is no longer needed. */
    record Release(RegionRef ref) implements NodeRequest {}

    /** Of a node: send this range of the region that was found; its pieces follow the answer. */
    record Read(RegionRef ref, String identity) implements NodeRequest {}

    /** What regions are there whose names begin with this? */
    record Listing(String node, String prefix) implements Addressed {}

    /** What is the region of this name? */
    record Find(String node, String name) implements Addressed {}

    /** Make a region of so many zeros, which belongs to who asks. */
    record Allocate(String node, String name, long length) implements Addressed {}

    /** Write this range; its bytes follow the first answer, the new reference is the second. */
    record Write(RegionRef ref) implements Addressed {

        @Override
        public String node() {
            return ref.node();
        }
    }

    /** Delete this region. */
    record Free(RegionRef ref) implements Addressed {

        @Override
        public String node() {
            return ref.node();
        }
    }

    /** Release this region: its owner takes it back, or it is deleted. */
    record GiveBack(RegionRef ref) implements Addressed {

        @Override
        public String node() {
            return ref.node();
        }
    }

    /**
     * Let others read this region.
     *
     * @param id of a user or of a group
     */
    record Grant(RegionRef ref, int id, boolean group) implements Addressed {

        @Override
        public String node() {
            return ref.node();
        }
    }

    /** Add to a counter, and say what was in it before. */
    record Add(String node, String counter, long delta) implements Addressed {}

    /** Wait until so many are here, at most so long. */
    record Barrier(String node, String name, int parties, long patienceMillis)
            implements Addressed {}

    /** Of a process on the host: from now on this connection answers calls of an endpoint. */
    record Serve(String endpoint) implements NodeRequest {}

    /** Call an endpoint. */
    record Call(String node, String endpoint, byte[] bytes) implements Addressed {}
}
