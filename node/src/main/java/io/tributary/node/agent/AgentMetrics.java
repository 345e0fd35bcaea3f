// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Rejection;
import io.tributary.memory.peer.Door;
import io.tributary.memory.region.RegionDirectory;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * What the agent and the kernel have counted, at {@code /metrics} in Prometheus' text format and at
 * {@code /status} for people. Thread-safe.
 */
final class AgentMetrics {

    private static final Duration COUNTED_FOR = Duration.ofSeconds(1);

    private final AgentOptions options;
    private final String mode;
    private final Endpoints endpoints;
    private final Map<Rejection, Long> rejected = new EnumMap<>(Rejection.class);
    private Optional<StatusServer> server = Optional.empty();
    private long reaped;
    private volatile Regions regions = new Regions(0, 0, System.nanoTime() - COUNTED_FOR.toNanos());

    private record Regions(int count, long bytes, long nanos) {}

    AgentMetrics(AgentOptions options, String mode, Endpoints endpoints) {
        this.options = options;
        this.mode = mode;
        this.endpoints = endpoints;
    }

    /**
     * Begins to serve them.
     *
     * @param failure told when it cannot go on
     */
    void serve(Consumer<Throwable> failure) throws IOException {
        StatusServer pages =
                new StatusServer(
                        options.metricsPort(),
                        Map.of(
                                "/metrics",
                                () -> page(this::prometheus),
                                "/status",
                                () -> page(this::status)));
        pages.start(failure);
        server = Optional.of(pages);
    }

    private String page(Supplier<String> text) {
        count();
        synchronized (endpoints) {
            return text.get();
        }
    }

    /** At most once a second, however often it is asked for, and not while a caller waits. */
    private synchronized void count() {
        long now = System.nanoTime();
        if (now - regions.nanos() >= COUNTED_FOR.toNanos()) {
            List<Path> all = RegionDirectory.list(options.directory());
            regions = new Regions(all.size(), RegionDirectory.bytes(all), System.nanoTime());
        }
    }

    /** Guarded by the endpoints, as all here. */
    void rejected(Rejection reason) {
        rejected.merge(reason, 1L, Long::sum);
    }

    void reaped(int regions) {
        synchronized (endpoints) {
            reaped += regions;
        }
    }

    private String prometheus() {
        StringBuilder text = new StringBuilder();
        gauge(text, "tributary_agent_bpf", mode.startsWith("eBPF") ? 1 : 0);
        gauge(text, "tributary_agent_endpoints", endpoints.connections().size());
        counter(text, "tributary_agent_relayed_total", endpoints.relayed());
        counter(text, "tributary_agent_dropped_total", endpoints.dropped());
        counter(text, "tributary_agent_undeliverable_total", endpoints.undeliverable());
        counter(text, "tributary_agent_regions_reaped_total", reaped);
        gauge(text, "tributary_agent_regions", regions.count());
        text.append("# TYPE tributary_agent_rejected_total counter\n");
        for (Rejection reason : Rejection.values()) {
            text.append(
                    "tributary_agent_rejected_total{reason=\"%s\"} %d%n"
                            .formatted(reason, rejected.getOrDefault(reason, 0L)));
        }
        for (String name : new String[] {"sent", "sent_bytes", "delivered", "delivered_bytes"}) {
            text.append("# TYPE tributary_endpoint_%s_total counter%n".formatted(name));
            for (Connection connection : endpoints.connections()) {
                text.append(
                        "tributary_endpoint_%s_total{endpoint=\"%s\",pid=\"%d\"} %d%n"
                                .formatted(
                                        name,
                                        connection.primaryId().orElse(EndpointId.NONE),
                                        connection.visitor().map(Door.Visitor::pid).orElse(0L),
                                        value(name, endpoints.counters(connection))));
            }
        }
        return text.toString();
    }

    private static long value(String name, BpfMailbox.Counters counters) {
        return switch (name) {
            case "sent" -> counters.sent();
            case "sent_bytes" -> counters.sentBytes();
            case "delivered" -> counters.delivered();
            default -> counters.deliveredBytes();
        };
    }

    private static void gauge(StringBuilder text, String name, long value) {
        text.append("# TYPE %s gauge%n%s %d%n".formatted(name, name, value));
    }

    private static void counter(StringBuilder text, String name, long value) {
        text.append("# TYPE %s counter%n%s %d%n".formatted(name, name, value));
    }

    private String status() {
        StringBuilder text = new StringBuilder();
        text.append("descriptors: %s%n".formatted(mode));
        text.append(
                "regions:     %d, %d MB, in %s%n"
                        .formatted(regions.count(), regions.bytes() >> 20, options.directory()));
        text.append(
                "relayed %d, dropped %d, undeliverable %d, rejected %d%n"
                        .formatted(
                                endpoints.relayed(),
                                endpoints.dropped(),
                                endpoints.undeliverable(),
                                rejected.values().stream().mapToLong(Long::longValue).sum()));
        text.append(
                "%-36s  %8s  %6s  %-6s  %12s  %12s%n"
                        .formatted("endpoint", "pid", "port", "by", "kernel sent", "kernel got"));
        for (Connection connection : endpoints.connections()) {
            BpfMailbox.Counters counters = endpoints.counters(connection);
            text.append(
                    "%-36s  %8d  %6d  %-6s  %12d  %12d%n"
                            .formatted(
                                    connection.primaryId().orElse(EndpointId.NONE),
                                    connection.visitor().map(Door.Visitor::pid).orElse(0L),
                                    connection.port(),
                                    connection.inKernel() ? "kernel" : "relay",
                                    counters.sent(),
                                    counters.delivered()));
        }
        return text.toString();
    }

    void close() {
        server.ifPresent(StatusServer::close);
    }
}
