// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionWriter;
import io.tributary.node.Node;
import io.tributary.node.NodeClient;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.RegionRef;
import io.tributary.testbed.process.AgentProcess;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.JavaProcess;
import io.tributary.testbed.process.NetnsHosts;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * A process of one host reads regions of another by their nodes, over a link that is not shaped.
 * The limit is one TCP stream of iperf3 over the same link, before, between and after.
 */
final class RemoteBench {

    /** Float32 parameters in a region, unless said otherwise. */
    static final int PARAMS = 60_000_000;

    /** Of each phase's regions the first ones are left out: a new JVM, cold agents. */
    private static final int WARM_UP = 8;

    private static final int MEASURED = 5;
    private static final String IPERF_SECONDS = "3";

    private final int params;
    private final int phases;
    private final Path parent;

    RemoteBench(int params, int phases, Path parent) {
        this.phases = phases;
        this.params = params;
        this.parent = parent;
    }

    Figure run() throws Exception {
        Tool.find("iperf3", "iperf3");
        NetnsHosts hosts = NetnsHosts.create(2, Optional.empty());
        try (WorkDirectory work = WorkDirectory.create("bench");
                WorkDirectory regions = WorkDirectory.create(parent, "bench")) {
            NetnsHosts.Host here = hosts.host(1);
            NetnsHosts.Host there = hosts.host(2);
            Path secret = work.path().resolve("node.secret");
            try (AgentProcess ours = agent(hosts, here, work.path(), regions.path(), secret);
                    AgentProcess theirs =
                            agent(hosts, there, work.path(), regions.path(), secret)) {
                List<Double> limits = new ArrayList<>(List.of(iperf(here, there)));
                List<Double> reads = new ArrayList<>();
                for (int phase = 0; phase < phases; phase++) {
                    write(there.seen(regions.path().resolve(AgentProcess.nodeName(there))), phase);
                    reads.addAll(read(here, there, phase, regions.path(), work.path()));
                    limits.add(iperf(here, there));
                }
                return Figure.more("region of another host", "GB/s", reads)
                        .beside("iperf3, one stream", limits);
            }
        } finally {
            hosts.delete();
        }
    }

    private static AgentProcess agent(
            NetnsHosts hosts, NetnsHosts.Host host, Path work, Path regions, Path secret)
            throws Exception {
        Path directory = regions.resolve(AgentProcess.nodeName(host));
        Files.createDirectories(host.seen(directory));
        AgentProcess agent = AgentProcess.start(work, directory, secret, hosts, host);
        while (!Files.exists(secret)) {
            TimeUnit.MILLISECONDS.sleep(50);
        }
        return agent;
    }

    private static String name(int phase, int region) {
        return "bench/%d-%d".formatted(phase, region);
    }

    private void write(Path directory, int phase) throws IOException {
        byte[] block = new byte[1 << 20];
        new Random(phase).nextBytes(block);
        long length = 4L * params;
        for (int region = 0; region < WARM_UP + MEASURED; region++) {
            try (RegionWriter writer =
                    new RegionDirectory(directory, Long.MAX_VALUE)
                            .reserve(name(phase, region), length)
                            .orElseThrow()) {
                for (long at = 0; at < length; at += block.length) {
                    writer.write(
                            at,
                            ByteBuffer.wrap(block, 0, (int) Math.min(block.length, length - at)));
                }
                writer.publish(0, "{}");
            }
        }
    }

    /** GB/s of each region but the first ones. */
    private static List<Double> read(
            NetnsHosts.Host here, NetnsHosts.Host there, int phase, Path regions, Path work)
            throws IOException {
        Path log = work.resolve("read-%d.out".formatted(phase));
        try (ChildProcess reader =
                JavaProcess.start(
                        JavaProcess.Command.here(
                                        List.of("-Xmx128m"),
                                        RemoteBench.class.getName(),
                                        List.of(
                                                regions.resolve(AgentProcess.nodeName(here))
                                                        .toString(),
                                                AgentProcess.nodeName(there),
                                                Integer.toString(phase)))
                                .on(here),
                        log)) {
            if (!reader.await(300) || reader.exitCode().orElse(1) != 0) {
                throw new IllegalStateException("reading failed:\n" + reader.logTail());
            }
        }
        return Files.readAllLines(log).stream()
                .filter(line -> line.startsWith("GB/s "))
                .map(line -> Double.parseDouble(line.substring("GB/s ".length())))
                .skip(WARM_UP)
                .toList();
    }

    /** The process that reads; arguments: this host's region directory, the other's node, phase. */
    public static void main(String[] args) throws Exception {
        try (NodeClient regions =
                NodeClient.by(Path.of(args[0]), Mailbox.DEFAULT_PORT + Node.LOCAL_OFFSET)) {
            while (regions.members().stream()
                    .noneMatch(m -> m.alive() && m.member().node().equals(args[1]))) {
                TimeUnit.MILLISECONDS.sleep(50);
            }
            for (int region = 0; region < WARM_UP + MEASURED; region++) {
                RegionRef ref =
                        regions.find(args[1], name(Integer.parseInt(args[2]), region)).ref();
                long start = System.nanoTime();
                try (NodeClient.Open open = regions.open(ref)) {
                    System.out.printf(
                            "GB/s %s%n",
                            (double) open.payload().length() / (System.nanoTime() - start));
                }
            }
        }
    }

    private static double iperf(NetnsHosts.Host here, NetnsHosts.Host there)
            throws IOException, InterruptedException {
        Process server = start(there, List.of("iperf3", "-s", "-1", "-B", there.address()));
        try {
            String answer = "";
            while (!answer.contains("bits_per_second") && server.isAlive()) {
                // The server may not listen yet.
                Process client =
                        start(
                                here,
                                List.of(
                                        "iperf3",
                                        "-c",
                                        there.address(),
                                        "-R",
                                        "-J",
                                        "-t",
                                        IPERF_SECONDS));
                answer = new String(client.getInputStream().readAllBytes());
                client.waitFor();
            }
            if (!answer.startsWith("{")) {
                throw new IllegalStateException(
                        "iperf3, the limit to compare with, said '%s'".formatted(answer.strip()));
            }
            return Json.tree(answer.getBytes())
                            .path("end")
                            .path("sum_received")
                            .path("bits_per_second")
                            .asDouble()
                    / 8e9;
        } finally {
            server.destroy();
        }
    }

    private static Process start(NetnsHosts.Host host, List<String> command) throws IOException {
        List<String> line = new ArrayList<>(host.enter());
        line.addAll(command);
        return new ProcessBuilder(line).redirectErrorStream(true).start();
    }
}
