// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.node;

import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.RegionRef;
import io.tributary.shm.node.Node.Options;
import io.tributary.shm.region.RegionDirectory;
import io.tributary.shm.region.RegionHeader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Serves one process of this host; what it has fetched is released when it goes. */
final class LocalService {

    private final Options options;
    private final int port;
    private final Membership membership;
    private final NodeLinks links;
    private final RegionShelf shelf;
    private final RemoteRegions remote;
    private final List<RegionRef> held = new ArrayList<>();

    LocalService(
            Options options,
            int port,
            Membership membership,
            NodeLinks links,
            RegionShelf shelf,
            RemoteRegions remote) {
        this.options = options;
        this.port = port;
        this.membership = membership;
        this.links = links;
        this.shelf = shelf;
        this.remote = remote;
    }

    void serve(NodeChannel channel) throws IOException {
        Optional<PeerProcess> process = PeerProcess.find(channel.peerPort(), port);
        boolean known = process.filter(p -> options.users().contains(p.user())).isPresent();
        try {
            while (true) {
                NodeRequest request = channel.receive(NodeRequest.class);
                try {
                    if (!known) {
                        throw new NodeRefusedException(
                                "the node serves users %s, not %s"
                                        .formatted(
                                                options.users(),
                                                process.map(PeerProcess::user).orElse(-1)));
                    }
                    channel.send(NodeAnswer.of(answer(request)));
                } catch (NodeRefusedException | RejectedException e) {
                    channel.send(NodeAnswer.refused(e.getMessage()));
                }
            }
        } finally {
            held.forEach(remote::release);
        }
    }

    private Object answer(NodeRequest request) throws IOException {
        if (request instanceof NodeRequest.Fetch fetch) {
            return fetch(fetch.ref());
        }
        if (request instanceof NodeRequest.Release release) {
            if (held.remove(release.ref())) {
                remote.release(release.ref());
            }
            return List.of();
        }
        if (request instanceof NodeRequest.Members) {
            return membership.all();
        }
        if (request instanceof NodeRequest.Listing listing) {
            return listing.node().equals(options.name())
                    ? shelf.list(listing.prefix())
                    : forward(listing.node(), listing, RegionInfo[].class);
        }
        if (request instanceof NodeRequest.Find find) {
            return find.node().equals(options.name())
                    ? shelf.find(find.name())
                    : forward(find.node(), find, RegionInfo.class);
        }
        throw new NodeRefusedException("%s is for nodes alone".formatted(request));
    }

    private PayloadRef fetch(RegionRef ref) throws IOException {
        if (ref.node().equals(options.name())) {
            Path file = options.directory().resolve(ref.name() + RegionDirectory.SUFFIX);
            shelf.requireReadable(ref);
            return RegionHeader.read(file).payload(file);
        }
        try {
            PayloadRef copy = remote.fetch(ref);
            held.add(ref);
            return copy;
        } catch (NodeRefusedException e) {
            throw e;
        } catch (IOException e) {
            throw new NodeRefusedException(
                    "region %s on %s cannot be read: %s"
                            .formatted(ref.name(), ref.node(), e.getMessage()));
        }
    }

    private <T> T forward(String node, NodeRequest request, Class<T> type) throws IOException {
        return links.use(
                node,
                channel -> {
                    channel.send(request);
                    return channel.receiveSoon(NodeAnswer.class).as(type);
                });
    }
}
