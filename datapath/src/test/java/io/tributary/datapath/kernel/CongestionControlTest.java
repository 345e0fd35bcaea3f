// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.groups.Tuple.tuple;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.tributary.datapath.kernel.Datapath.Slot;
import io.tributary.datapath.kernel.Datapath.Use;
import io.tributary.datapath.network.Activation;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.datapath.network.Mlp;
import io.tributary.datapath.network.Quantizer;
import io.tributary.datapath.network.Shape;
import io.tributary.datapath.network.TestNetworks;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Real connections through a bottleneck of 50 Mbit/s, between two network namespaces. */
@Tag("alone")
@Timeout(120)
class CongestionControlTest {

    private static final double BOTTLENECK = 50e6;
    private static final String CLIENT = "tributary-cc-" + ProcessHandle.current().pid() + "-c";
    private static final String SERVER = "tributary-cc-" + ProcessHandle.current().pid() + "-s";

    @TempDir static Path temp;

    private static Path mount;
    private static int port = 5300;

    private final Path directory = mount.resolve("tributary");
    private final List<Process> processes = new ArrayList<>();

    @BeforeAll
    static void start() throws Exception {
        boolean root = "root".equals(System.getProperty("user.name"));
        if (System.getenv("TRIBUTARY_REQUIRE_BPF") == null) {
            Assumptions.assumeTrue(root, "namespaces are made by root");
            KernelRequirements.missing(true).ifPresent(Assumptions::abort);
            Assumptions.assumeTrue(
                    new ProcessBuilder("sh", "-c", "command -v iperf3 ip").start().waitFor() == 0,
                    "needs iperf3 and iproute2");
        }
        mount = Files.createDirectory(temp.resolve("bpf"));
        run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", mount.toString());
        run("ip", "netns", "add", CLIENT);
        run("ip", "netns", "add", SERVER);
        run(
                "ip", "link", "add", "c", "netns", CLIENT, "type", "veth", "peer", "name", "s",
                "netns", SERVER);
        for (String[] side : new String[][] {{CLIENT, "c", "1"}, {SERVER, "s", "2"}}) {
            run(
                    "ip",
                    "-n",
                    side[0],
                    "addr",
                    "add",
                    "10.77.0.%s/24".formatted(side[2]),
                    "dev",
                    side[1]);
            run("ip", "-n", side[0], "link", "set", side[1], "up");
        }
        run(
                "ip", "netns", "exec", CLIENT, "tc", "qdisc", "add", "dev", "c", "root", "tbf",
                "rate", "50mbit", "burst", "20kb", "limit", "100kb");
    }

    @AfterAll
    static void stop() throws Exception {
        if (mount != null) {
            new ProcessBuilder("ip", "netns", "del", CLIENT).start().waitFor();
            new ProcessBuilder("ip", "netns", "del", SERVER).start().waitFor();
            new ProcessBuilder("umount", mount.toString()).start().waitFor();
        }
    }

    private static void run(String... command) throws Exception {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes());
        assertThat(process.waitFor()).as(String.join(" ", command) + ": " + said).isZero();
    }

    @BeforeEach
    void load() throws IOException {
        Datapath.load(directory, Shape.WIDE, true);
    }

    @AfterEach
    void unload() throws Exception {
        for (Process process : processes) {
            process.destroyForcibly().waitFor();
        }
        if (Files.exists(directory)) {
            Datapath.unload(directory);
        }
    }

    /** Says the same whatever it is told. */
    private static IntegerNetwork constant(double output) {
        Mlp.Linear first = new Mlp.Linear(new double[32][30], new double[32]);
        Mlp.Linear second = new Mlp.Linear(new double[16][32], new double[16]);
        Mlp.Linear last = new Mlp.Linear(new double[1][16], new double[] {output});
        IntegerNetwork network =
                Quantizer.quantize(
                        new Mlp(List.of(first, second, last), Activation.TANH),
                        List.of(new double[30]));
        assertThat(network.infer(new int[30])[0] * IntegerNetwork.OUTPUT_SCALE).isEqualTo(output);
        return network;
    }

    private void activate(IntegerNetwork network) throws IOException {
        try (Datapath datapath = Datapath.open(directory)) {
            datapath.install(network);
            datapath.activate();
        }
    }

    private List<Slot> slots() throws IOException {
        try (Datapath datapath = Datapath.open(directory)) {
            return datapath.slots();
        }
    }

    private List<Slot> awaitSlots(Predicate<List<Slot>> wanted) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        List<Slot> slots = slots();
        while (!wanted.test(slots)) {
            assertThat(System.nanoTime()).as(slots.toString()).isLessThan(end);
            Thread.onSpinWait();
            slots = slots();
        }
        return slots;
    }

    private Process start(String... command) throws IOException {
        Process process = new ProcessBuilder(command).start();
        processes.add(process);
        return process;
    }

    /** Sends through the bottleneck. */
    private Process send(int connections, int seconds) throws Exception {
        String its = Integer.toString(++port);
        Process server =
                start(
                        "ip",
                        "netns",
                        "exec",
                        SERVER,
                        "iperf3",
                        "-s",
                        "-1",
                        "-p",
                        its,
                        "--forceflush");
        // It says so when it listens.
        server.inputReader().readLine();
        server.inputReader().readLine();
        return start(
                "ip",
                "netns",
                "exec",
                CLIENT,
                "iperf3",
                "-J",
                "-c",
                "10.77.0.2",
                "-p",
                its,
                "-C",
                Datapath.CONGESTION_CONTROL,
                "-P",
                Integer.toString(connections),
                "-t",
                Integer.toString(seconds));
    }

    /** What has come through, in bits of a second. */
    private static double received(Process client) throws Exception {
        // iperf3 has names twice, which the project's own reader rejects.
        JsonNode report = new ObjectMapper().readTree(client.getInputStream());
        assertThat(client.waitFor()).as(report.path("error").asText()).isZero();
        return report.at("/end/sum_received/bits_per_second").asDouble();
    }

    @Test
    void withoutANetworkItUsesTheBottleneck() throws Exception {
        assertThat(received(send(1, 4))).isBetween(0.5 * BOTTLENECK, BOTTLENECK);
    }

    @Test
    void aConnectionKeepsTheNetworkWithWhichItHasBegun() throws Exception {
        activate(constant(0.25));
        Process first = send(4, 60);
        // Both ends of each.
        int slot = awaitSlots(its -> its.get(0).flows() == 8).get(0).number();
        activate(constant(0.5));
        Process second = send(2, 4);
        assertThat(awaitSlots(its -> its.get(0).flows() == 4))
                .extracting(Slot::use, Slot::flows)
                .containsExactly(tuple(Use.ACTIVE, 4), tuple(Use.PREVIOUS, 8));
        activate(constant(0.75));
        activate(constant(1));
        assertThat(slots())
                .filteredOn(its -> its.number() == slot)
                .extracting(Slot::use, Slot::flows)
                .containsExactly(tuple(Use.OLD, 8));
        for (int i = 0; i < 8; i++) {
            try (Datapath datapath = Datapath.open(directory)) {
                assertThat(datapath.install(constant(2)).number()).isNotEqualTo(slot);
            }
        }
        assertThat(received(second)).isGreaterThan(0);
        first.destroy();
        awaitSlots(its -> its.stream().allMatch(each -> each.flows() == 0));
    }

    /**
     * Networks change a thousand times while connections come and go. Each sample names the network
     * that has computed it, and that network computes the same from the same inputs.
     */
    @Test
    void noInferenceMixesNetworks() throws Exception {
        Random random = new Random(6);
        Map<String, IntegerNetwork> networks = new HashMap<>();
        List<Sample> samples = new ArrayList<>();
        int switches = 1000;
        try (SampleReader reader = SampleReader.open(directory)) {
            Process client = send(3, 10);
            for (int i = 0; i < switches || client.isAlive(); i++) {
                if (i < switches) {
                    IntegerNetwork network = random(random);
                    try (Datapath datapath = Datapath.open(directory)) {
                        networks.put(datapath.install(network).id(), network);
                        datapath.activate();
                    } catch (IllegalStateException e) {
                        assertThat(e).hasMessageStartingWith("no slot is free: connections use ");
                        i--;
                    }
                }
                if (i % 40 == 0) {
                    received(send(1, 1));
                }
                reader.poll(samples::add);
            }
            assertThat(received(client)).isGreaterThan(0);
            reader.poll(samples::add);
            assertThat(reader.lost()).isZero();
        }
        assertThat(networks).hasSize(switches);
        assertThat(samples).hasSizeGreaterThan(1000);
        Map<Long, Integer> last = new HashMap<>();
        Map<Long, String> begun = new HashMap<>();
        for (Sample sample : samples) {
            int before = last.getOrDefault(sample.flow(), -1);
            assertThat(sample.number()).as("none is lost").isEqualTo(before + 1);
            last.put(sample.flow(), sample.number());
            assertThat(begun.computeIfAbsent(sample.flow(), its -> sample.network()))
                    .as("a connection keeps its network")
                    .isEqualTo(sample.network());
            if (!sample.network().isEmpty()) {
                int[] expected = networks.get(sample.network()).infer(sample.inputs());
                assertThat(sample.outputs()[0]).isEqualTo(expected[0]);
            }
        }
        assertThat(Set.copyOf(begun.values())).hasSizeGreaterThan(5);
        awaitSlots(its -> its.stream().allMatch(each -> each.flows() == 0));
    }

    private static final String SHORT_SERVER =
            """
            import socket, threading
            def serve(connection):
                while connection.recv(65536):
                    pass
                connection.close()
            with socket.create_server(("10.77.0.2", 5999), backlog=512) as server:
                print("listening", flush=True)
                while True:
                    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
            """;

    private static final String SHORT_CLIENTS =
            """
            import socket, threading
            def send():
                for _ in range(100):
                    with socket.create_connection(("10.77.0.2", 5999)) as connection:
                        connection.sendall(bytes(20000))
                        connection.shutdown(socket.SHUT_WR)
                        connection.recv(1)
            threads = [threading.Thread(target=send) for _ in range(16)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            """;

    /** Connections of the client's namespace that choose none have this congestion control. */
    private static void byDefault(String name) throws Exception {
        String setting = "net.ipv4.tcp_congestion_control=" + name;
        run("ip", "netns", "exec", CLIENT, "sysctl", "-qw", setting);
    }

    /** By the namespace's default. Each connection has one network, and gives its slot back. */
    @Test
    void manyShortConnectionsGiveTheirSlotsBack() throws Exception {
        Random random = new Random(8);
        byDefault(Datapath.CONGESTION_CONTROL);
        Process server = start("ip", "netns", "exec", SERVER, "python3", "-c", SHORT_SERVER);
        assertThat(server.inputReader().readLine()).isEqualTo("listening");
        activate(random(random));
        Map<Long, Set<String>> networks = new HashMap<>();
        try (SampleReader reader = SampleReader.open(directory)) {
            Process clients = start("ip", "netns", "exec", CLIENT, "python3", "-c", SHORT_CLIENTS);
            while (clients.isAlive()) {
                try {
                    activate(random(random));
                } catch (IllegalStateException e) {
                    assertThat(e).hasMessageStartingWith("no slot is free: connections use ");
                }
                reader.poll(
                        sample ->
                                networks.computeIfAbsent(sample.flow(), its -> new HashSet<>())
                                        .add(sample.network()));
            }
            assertThat(clients.waitFor()).isZero();
            assertThat(reader.lost()).isZero();
        } finally {
            byDefault("reno");
        }
        awaitSlots(its -> its.stream().allMatch(each -> each.flows() == 0));
        assertThat(networks).hasSizeGreaterThan(1500);
        assertThat(networks.values()).allMatch(its -> its.size() == 1);
        assertThat(networks.values().stream().distinct()).hasSizeGreaterThan(20);
    }

    private static IntegerNetwork random(Random random) {
        return Quantizer.quantize(
                TestNetworks.mlp(random, Activation.TANH, 30, 32, 16, 1),
                TestNetworks.inputs(random, 2, 30));
    }

    @Test
    void thereIsOneReader() throws Exception {
        try (SampleReader reader = SampleReader.open(directory)) {
            assertThat(reader.poll(sample -> {})).isZero();
            assertThatThrownBy(() -> SampleReader.open(directory))
                    .hasMessage("another process reads the samples of " + directory);
        }
        SampleReader.open(directory).close();
    }

    @ParameterizedTest
    @ValueSource(doubles = {-10_000, -1, 0, 1, 10_000})
    void noNetworkStopsTheTraffic(double output) throws Exception {
        activate(constant(output));
        assertThat(received(send(2, 3))).isGreaterThan(1e6);
    }

    /** It is registered, and what it can be found by is not where it should be. */
    @Test
    void aKilledProcessLeavesNoCongestionControlBehind() throws Exception {
        Path part = directory.resolveSibling("tributary-part");
        Files.move(directory, part);
        Datapath.load(directory, Shape.WIDE, true);
        assertThat(available()).contains(Datapath.CONGESTION_CONTROL);
        Files.move(directory, part);
        Datapath.unload(directory);
        assertThat(available()).doesNotContain(Datapath.CONGESTION_CONTROL);
        assertThat(part).doesNotExist();
    }

    @Test
    void aNetworkHasToTakeWhatItIsTold() throws IOException {
        try (Datapath datapath = Datapath.open(directory)) {
            IntegerNetwork other =
                    Quantizer.quantize(
                            TestNetworks.mlp(new Random(1), Activation.RELU, 8, 16, 8, 1),
                            List.of(new double[8]));
            assertThatThrownBy(() -> datapath.install(other))
                    .hasMessage("the network takes 8 numbers, the congestion control tells it 30");
        }
        assertThatThrownBy(() -> Datapath.load(mount.resolve("other"), Shape.MEDIUM, true))
                .hasMessageContaining("load it with --shape wide");
    }

    @Test
    void connectionsGoOnWhenItIsUnloaded() throws Exception {
        activate(constant(0.25));
        Process client = send(3, 4);
        awaitSlots(its -> its.get(0).flows() == 6);
        Datapath.unload(directory);
        assertThat(available()).doesNotContain(Datapath.CONGESTION_CONTROL);
        Datapath.load(directory, Shape.WIDE, true);
        assertThat(available()).contains(Datapath.CONGESTION_CONTROL);
        assertThat(received(client)).isGreaterThan(1e6);
        assertThat(received(send(1, 2))).isGreaterThan(1e6);
    }

    private static List<String> available() throws IOException {
        return Arrays.asList(
                Files.readString(Path.of("/proc/sys/net/ipv4/tcp_available_congestion_control"))
                        .strip()
                        .split(" "));
    }

    /** There is one of the name in a kernel. */
    @Test
    void aSecondOneIsRejectedAndLeavesNothing() {
        Path other = mount.resolve("other");
        assertThatThrownBy(() -> Datapath.load(other, Shape.WIDE, true))
                .isInstanceOf(IOException.class)
                .hasMessage("tributary cannot be registered: File exists");
        assertThat(other).doesNotExist();
        assertThat(mount.resolve("other-part")).doesNotExist();
    }
}
