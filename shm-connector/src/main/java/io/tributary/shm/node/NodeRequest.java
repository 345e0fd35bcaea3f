// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonSubTypes.Type;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import io.tributary.protocol.message.RegionRef;
import java.util.List;

/** What one node, or a process on its host, asks of another. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "op")
@JsonSubTypes({
    @Type(value = NodeRequest.Gossip.class, name = "gossip"),
    @Type(value = NodeRequest.Leave.class, name = "leave"),
    @Type(value = NodeRequest.Members.class, name = "members"),
    @Type(value = NodeRequest.Read.class, name = "read"),
    @Type(value = NodeRequest.Fetch.class, name = "fetch"),
    @Type(value = NodeRequest.Release.class, name = "release"),
    @Type(value = NodeRequest.Listing.class, name = "listing"),
    @Type(value = NodeRequest.Find.class, name = "find")
})
sealed interface NodeRequest {

    /** A heartbeat, with all living members that the sender knows, itself first. */
    record Gossip(List<Member> members) implements NodeRequest {}

    /** The sender leaves. */
    record Leave(Member member) implements NodeRequest {}

    /** Who is there? */
    record Members() implements NodeRequest {}

    /** Send this range; followed by its pieces. */
    record Read(RegionRef ref) implements NodeRequest {}

    /** Of a process on the host: have this range at hand until it is released. */
    record Fetch(RegionRef ref) implements NodeRequest {}

    /** Of a process on the host: that is no longer needed. */
    record Release(RegionRef ref) implements NodeRequest {}

    /** What regions are there whose names begin with this? */
    record Listing(String node, String prefix) implements NodeRequest {}

    /** What is the region of this name? */
    record Find(String node, String name) implements NodeRequest {}
}
