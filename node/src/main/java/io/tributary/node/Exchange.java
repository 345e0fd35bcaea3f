// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.EndpointId;
import java.util.Set;

/** The endpoints of this host, as its node needs them. Thread-safe. */
public interface Exchange {

    /** Those that are connected and not for this host alone. */
    Set<EndpointId> endpoints();

    /** Carries a descriptor that came from another node to one of them. */
    void deliver(Descriptor descriptor);

    /** The node cannot go on. */
    void failed(Throwable e);

    /** One of them belongs to another node, which had it before the two knew each other. */
    void evict(EndpointId id);
}
