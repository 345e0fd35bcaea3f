// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import com.fasterxml.jackson.annotation.JsonAlias;
import io.tributary.protocol.message.Names;
import java.io.IOException;
import java.net.InetSocketAddress;

/**
 * How two nodes begin. Who connects says its version and name and a number; the other answers with
 * its own and a proof that it has the secret, or with a rejection; then the first proves that it
 * has it too.
 */
final class Handshake {

    /** Of the protocol between nodes. */
    static final int VERSION = 4;

    private static final String MAGIC = "tributary-node";

    /** What who connects says first. */
    private record Hello(String magic, int version, String node, String nonce) {}

    /** The answer; of a rejection only that and the version count. */
    private record Welcome(
            @JsonAlias("refusal") String rejection,
            int version,
            String node,
            String nonce,
            String proof) {}

    private record Proof(String proof) {}

    private record Verdict(@JsonAlias("refusal") String rejection) {}

    private Handshake() {}

    /**
     * Connects to a certain node.
     *
     * @throws NodeRejectedException also when another one answers
     */
    static NodeChannel open(
            InetSocketAddress address, String self, NodeSecret secret, String wanted)
            throws IOException {
        NodeChannel channel = NodeChannel.connect(address);
        try {
            String found = connect(channel, self, secret);
            if (!found.equals(wanted)) {
                throw new NodeRejectedException(
                        "expected node %s at %s, found %s"
                                .formatted(wanted, channel.peer(), found));
            }
            return channel;
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    /**
     * Begins as who connects.
     *
     * @param self this node
     * @return the other's name
     * @throws NodeRejectedException when the other node rejects this one, or does not have the
     *     secret
     */
    static String connect(NodeChannel channel, String self, NodeSecret secret) throws IOException {
        String nonce = NodeSecret.nonce();
        channel.send(new Hello(MAGIC, VERSION, self, nonce));
        Welcome welcome = channel.receiveSoon(Welcome.class);
        if (!welcome.rejection().isEmpty()) {
            throw new NodeRejectedException(channel.peer() + ": " + welcome.rejection());
        }
        String expected = secret.proof("server", welcome.node(), self, nonce, welcome.nonce());
        if (!NodeSecret.same(expected, welcome.proof())) {
            throw new NodeRejectedException(
                    "%s, which calls itself %s, has another secret"
                            .formatted(channel.peer(), welcome.node()));
        }
        channel.send(
                new Proof(secret.proof("client", self, welcome.node(), welcome.nonce(), nonce)));
        Verdict verdict = channel.receiveSoon(Verdict.class);
        if (!verdict.rejection().isEmpty()) {
            throw new NodeRejectedException(channel.peer() + ": " + verdict.rejection());
        }
        channel.greeted();
        return welcome.node();
    }

    /**
     * Begins as who is connected to.
     *
     * @return the other's name
     * @throws NodeRejectedException when the other was rejected
     */
    static String accept(NodeChannel channel, String self, NodeSecret secret) throws IOException {
        Hello hello = channel.receiveSoon(Hello.class);
        if (!hello.magic().equals(MAGIC)) {
            throw new NodeRejectedException(channel.peer() + " is no node");
        }
        if (hello.version() != VERSION) {
            String rejection =
                    "node %s speaks version %d of the protocol, node %s version %d; run the same Tributary on both"
                            .formatted(self, VERSION, hello.node(), hello.version());
            channel.send(new Welcome(rejection, VERSION, self, "", ""));
            throw new NodeRejectedException(rejection);
        }
        Names.check("node", hello.node());
        String nonce = NodeSecret.nonce();
        channel.send(
                new Welcome(
                        "",
                        VERSION,
                        self,
                        nonce,
                        secret.proof("server", self, hello.node(), hello.nonce(), nonce)));
        Proof proof = channel.receiveSoon(Proof.class);
        String expected = secret.proof("client", hello.node(), self, nonce, hello.nonce());
        if (!NodeSecret.same(expected, proof.proof())) {
            String rejection = "node %s has another secret than %s".formatted(hello.node(), self);
            channel.send(new Verdict(rejection));
            throw new NodeRejectedException(rejection);
        }
        channel.send(new Verdict(""));
        channel.greeted();
        return hello.node();
    }
}
