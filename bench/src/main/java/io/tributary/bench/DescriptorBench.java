// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.node.agent.AgentOptions;
import io.tributary.node.agent.FreePorts;
import io.tributary.node.agent.NodeAgent;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.Semaphore;

/** Times descriptors from one mailbox to another, one at a time. */
final class DescriptorBench {

    private static final int WARM_UP = 20_000;
    private static final int MEASURED = 20_000;

    private DescriptorBench() {}

    /**
     * One way.
     *
     * @param bpf whether it stayed in the kernel
     * @param microsP50 median
     * @param microsP99 99th percentile
     */
    record Latency(boolean bpf, double microsP50, double microsP99) {}

    static Latency run(AgentOptions.Bpf bpf, Path directory)
            throws IOException, InterruptedException {
        int port = FreePorts.next(2);
        long[] nanos = new long[WARM_UP + MEASURED];
        Semaphore arrived = new Semaphore(0);
        EndpointId to = EndpointId.of("bench/to");
        try (NodeAgent agent = NodeAgent.start(new AgentOptions(port, bpf, directory));
                Mailbox receiver =
                        Mailbox.open(
                                directory,
                                port,
                                "to",
                                d -> {
                                    if (d.kind() == Kind.PING) {
                                        nanos[d.code() & 0xffff] = System.nanoTime() - d.number();
                                    }
                                    arrived.release();
                                });
                Mailbox sender = Mailbox.open(directory, port, "from", d -> arrived.release())) {
            receiver.listen(to);
            sender.listen(EndpointId.of("bench/from"));
            while (!receiver.connected() || !sender.connected()) {
                arrived.acquire();
            }
            arrived.drainPermits();
            for (int i = 0; i < nanos.length; i++) {
                sender.send(
                        new Descriptor(
                                Kind.PING,
                                i,
                                to,
                                EndpointId.NONE,
                                System.nanoTime(),
                                Optional.empty()));
                arrived.acquire();
            }
            long[] sorted = Arrays.copyOfRange(nanos, WARM_UP, nanos.length);
            Arrays.sort(sorted);
            return new Latency(
                    agent.usesBpf(),
                    sorted[sorted.length / 2] / 1e3,
                    sorted[(int) (sorted.length * 0.99)] / 1e3);
        }
    }
}
