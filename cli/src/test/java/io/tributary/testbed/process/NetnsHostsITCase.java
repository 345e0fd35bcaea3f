// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.cli.Main;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Nodes on hosts of their own: network namespaces, whose links are cut. */
@Tag("alone")
@Timeout(120)
class NetnsHostsITCase {

    private static final int BYTES = 5_000_000;

    @TempDir Path temp;

    private NetnsHosts hosts;
    private final List<AgentProcess> agents = new ArrayList<>();
    private int calls;

    @BeforeEach
    void start() throws IOException {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")), "needs root");
        hosts = NetnsHosts.create(3, Optional.empty());
        for (NetnsHosts.Host host : hosts.all()) {
            agents.add(
                    AgentProcess.start(
                            temp, Files.createDirectories(regions(host)), secret(), hosts, host));
            Awaitility.await().until(() -> Files.exists(secret()));
        }
        Awaitility.await()
                .atMost(Duration.ofSeconds(30))
                .until(() -> nodes(hosts.host(1)).equals(List.of("alive", "alive", "alive")));
    }

    @AfterEach
    void stop() {
        agents.forEach(AgentProcess::close);
        if (hosts != null) {
            hosts.delete();
            assertThat(hosts.exist()).isFalse();
        }
    }

    private Path secret() {
        return temp.resolve("node.secret");
    }

    private Path regions(NetnsHosts.Host host) {
        return temp.resolve(AgentProcess.nodeName(host));
    }

    /** Runs a command on a host. */
    private String run(NetnsHosts.Host host, String... arguments) {
        List<String> all = new ArrayList<>(List.of(arguments));
        all.addAll(List.of("--dir", regions(host).toString()));
        Path log = temp.resolve("call-%d.out".formatted(calls++));
        try (ChildProcess process =
                JavaProcess.start(
                        JavaProcess.Command.here(List.of("-Xmx128m"), Main.class.getName(), all)
                                .on(host),
                        log)) {
            assertThat(process.await(60)).isTrue();
            return Files.readString(log);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** The states of the nodes, by name, as a host sees them. */
    private List<String> nodes(NetnsHosts.Host host) {
        return run(host, "regions", "nodes")
                .lines()
                .filter(line -> line.startsWith("host-"))
                .sorted()
                .map(line -> line.substring(line.lastIndexOf(' ') + 1))
                .toList();
    }

    @Test
    void aRegionCrossesTheLinkAndAHostThatIsCutOffIsLostUntilItIsBack() throws Exception {
        byte[] payload = new byte[BYTES];
        new Random(1).nextBytes(payload);
        try (RegionWriter writer =
                new RegionDirectory(regions(hosts.host(2)), 1 << 30)
                        .reserve("job/updates/00-a", BYTES)
                        .orElseThrow()) {
            writer.write(0, ByteBuffer.wrap(payload));
            writer.publish(0, "{}");
        }
        Path copy = temp.resolve("copy");
        long before = hosts.sentBytes(hosts.host(2));
        assertThat(
                        run(
                                hosts.host(1),
                                "regions",
                                "read",
                                "host-2",
                                "job/updates/00-a",
                                "--out",
                                copy + ""))
                .contains(BYTES + " bytes of job/updates/00-a on host-2");
        assertThat(Files.readAllBytes(copy)).isEqualTo(payload);
        assertThat(hosts.sentBytes(hosts.host(2)) - before)
                .as("bytes over the link")
                .isBetween((long) BYTES, BYTES + BYTES / 10L);

        hosts.cut(hosts.host(2));
        Awaitility.await()
                .atMost(Duration.ofSeconds(15))
                .until(() -> nodes(hosts.host(1)).equals(List.of("alive", "lost", "alive")));
        assertThat(nodes(hosts.host(2))).isEqualTo(List.of("lost", "alive", "lost"));
        assertThat(run(hosts.host(1), "regions", "list", "host-2")).contains("node lost: host-2");

        hosts.mend(hosts.host(2));
        Awaitility.await()
                .atMost(Duration.ofSeconds(30))
                .until(() -> nodes(hosts.host(1)).equals(List.of("alive", "alive", "alive")));
        Awaitility.await()
                .until(() -> nodes(hosts.host(2)).equals(List.of("alive", "alive", "alive")));
        assertThat(run(hosts.host(3), "regions", "list", "host-2", "job/"))
                .containsPattern("READY +1 +5000000 +job/updates/00-a");
    }
}
