// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.transport;

import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.mailbox.ShmUri;
import io.tributary.testbed.process.AgentProcess;
import io.tributary.testbed.process.BrokerProcess;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.testbed.process.NetnsHosts;
import io.tributary.transport.kafka.KafkaOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A transport that can be tried here: the one list of them outside of the job and its trainers.
 *
 * @param scheme what its URIs begin with
 * @param broker whether a broker stands between job and trainers, rather than a node agent
 * @param managed starts what a demo needs
 * @param killable starts what a chaos run kills, as a process of its own, in a work directory and
 *     with a region directory
 * @param onHosts the URI on hosts that have it themselves; empty where they do not
 */
public record TransportKind(
        String scheme,
        boolean broker,
        Managed managed,
        BiFunction<Path, Path, KillableService> killable,
        Function<NetnsHosts, Optional<String>> onHosts) {

    /** Starts a transport for a demo. */
    @FunctionalInterface
    public interface Managed {

        /**
         * Starts what the transport needs.
         *
         * @param work where its files are made
         * @param regions where regions are made, if it has a region directory of its own
         * @param quotaBytes of regions
         */
        ManagedTransport start(WorkDirectory work, Path regions, long quotaBytes)
                throws IOException;
    }

    /** MQTT. */
    public static final TransportKind MQTT =
            new TransportKind(
                    "mqtt",
                    true,
                    (work, regions, quotaBytes) -> new ManagedMqtt(work, quotaBytes),
                    (work, regions) ->
                            KillableService.of(BrokerProcess.start(work.resolve("broker"))),
                    hosts -> Optional.of("mqtt://%s:1883".formatted(hosts.host(1).address())));

    /** Kafka. */
    public static final TransportKind KAFKA =
            new TransportKind(
                    KafkaOptions.SCHEME,
                    true,
                    (work, regions, quotaBytes) -> new ManagedKafka(work, quotaBytes),
                    (work, regions) ->
                            KillableService.of(KafkaProcess.start(work.resolve("kafka"))),
                    hosts -> Optional.empty());

    /** Shared memory. */
    public static final TransportKind SHM =
            new TransportKind(
                    ShmUri.SCHEME,
                    false,
                    (work, regions, quotaBytes) -> new ManagedShm(regions, quotaBytes),
                    (work, regions) -> KillableService.of(AgentProcess.start(work, regions)),
                    hosts -> Optional.of(ShmUri.SCHEME + ":"));

    private static final List<TransportKind> ALL = List.of(MQTT, KAFKA, SHM);

    /**
     * The transport with that scheme.
     *
     * @throws IllegalArgumentException when there is none
     */
    public static TransportKind of(String scheme) {
        return ALL.stream()
                .filter(kind -> kind.scheme().equals(scheme))
                .findFirst()
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "expected one of %s but was '%s'"
                                                .formatted(
                                                        ALL.stream()
                                                                .map(TransportKind::scheme)
                                                                .collect(Collectors.joining(", ")),
                                                        scheme)));
    }

    @Override
    public String toString() {
        return scheme;
    }
}
