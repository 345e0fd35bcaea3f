// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import java.nio.file.Path;

/**
 * How an agent is run.
 *
 * @param port where endpoints connect, on the loopback; metrics are served on the next one
 * @param bpf whether descriptors are to stay in the kernel
 * @param directory the region directory; those to whom it is open may be endpoints
 */
public record AgentOptions(int port, Bpf bpf, Path directory) {

    /** Whether to use eBPF. */
    public enum Bpf {
        /** Where it is possible. */
        AUTO,
        /** Or fail. */
        REQUIRE,
        /** Never. */
        OFF
    }

    /** Where metrics are served. */
    public int metricsPort() {
        return port + 1;
    }
}
