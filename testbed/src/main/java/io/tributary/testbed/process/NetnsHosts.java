// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import com.fasterxml.jackson.annotation.JsonIgnore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Hosts on this machine: network namespaces, each with one link to a bridge, which has an address
 * itself, so that this machine reaches them all. They share files; what they do not share is the
 * loopback and {@code /dev/shm}, and all between them passes over their links.
 *
 * @param id in the names of namespaces and links
 * @param subnet third number of their addresses, 10.77.SUBNET.NUMBER
 * @param count how many
 */
public record NetnsHosts(String id, int subnet, int count) {

    private static final int MOST = 50;
    private static final int SUBNETS = 250;
    private static final Path MEMORY = Path.of("/dev/shm");

    /**
     * One of them.
     *
     * @param number from 1 on
     * @param namespace its network namespace
     * @param address its address
     */
    public record Host(int number, String namespace, String address) {

        /** What to put before a command so that it runs there. */
        public List<String> enter() {
            List<String> all = new ArrayList<>(network());
            all.addAll(
                    List.of(
                            "unshare",
                            "--mount",
                            "sh",
                            "-c",
                            "mount --bind \"$0\" %s && exec \"$@\"".formatted(MEMORY),
                            memory().toString()));
            return all;
        }

        private List<String> network() {
            // Unlike 'ip netns exec', this leaves /sys as it is, which the agent's eBPF needs.
            return List.of("nsenter", "--net=/run/netns/" + namespace);
        }

        /** Its {@code /dev/shm}, as this machine sees it. */
        public Path memory() {
            return MEMORY.resolve(namespace);
        }

        /** A file of the host, as this machine sees it. */
        public Path seen(Path file) {
            Path absolute = file.toAbsolutePath();
            return absolute.startsWith(MEMORY)
                    ? memory().resolve(MEMORY.relativize(absolute))
                    : absolute;
        }
    }

    /**
     * Makes hosts.
     *
     * @param rate of each link, as tc writes it, such as 1gbit; without, as fast as it goes
     * @throws IllegalArgumentException where this process may not
     */
    public static NetnsHosts create(int count, Optional<String> rate) {
        if (count < 1 || count > MOST) {
            throw new IllegalArgumentException(
                    "--hosts %d: expected 1 to %d".formatted(count, MOST));
        }
        if (!"root".equals(System.getProperty("user.name"))) {
            throw new IllegalArgumentException(
                    "--hosts makes network namespaces, which only root may; run it as root, or without --hosts");
        }
        String id = UUID.randomUUID().toString().substring(0, 6);
        NetnsHosts hosts = new NetnsHosts(id, freeSubnet(), count);
        try {
            hosts.make(rate);
        } catch (RuntimeException e) {
            hosts.delete();
            throw e;
        }
        return hosts;
    }

    private static int freeSubnet() {
        String taken = run("ip", "-o", "-4", "addr");
        return IntStream.rangeClosed(1, SUBNETS)
                .filter(subnet -> !taken.contains(" 10.77.%d.".formatted(subnet)))
                .findFirst()
                .orElseThrow(() -> new IllegalStateException("10.77.0.0/16 is full of hosts"));
    }

    private void make(Optional<String> rate) {
        run("ip", "link", "add", bridge(), "type", "bridge");
        run("ip", "addr", "add", "10.77.%d.254/24".formatted(subnet), "dev", bridge());
        run("ip", "link", "set", bridge(), "up");
        for (Host host : all()) {
            String link = link(host);
            forget(host);
            run("ip", "netns", "add", host.namespace());
            run(
                    "ip",
                    "link",
                    "add",
                    link,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    "eth0",
                    "netns",
                    host.namespace());
            run("ip", "link", "set", link, "master", bridge(), "up");
            within(host, "ip", "addr", "add", host.address() + "/24", "dev", "eth0");
            within(host, "ip", "link", "set", "eth0", "up");
            within(host, "ip", "link", "set", "lo", "up");
            if (rate.isPresent()) {
                List<String> shape =
                        List.of(
                                "root",
                                "tbf",
                                "rate",
                                rate.get(),
                                "burst",
                                "512kb",
                                "latency",
                                "50ms");
                run(join(List.of("tc", "qdisc", "add", "dev", link), shape));
                within(host, join(List.of("tc", "qdisc", "add", "dev", "eth0"), shape));
            }
        }
    }

    private static String[] join(List<String> first, List<String> second) {
        List<String> all = new ArrayList<>(first);
        all.addAll(second);
        return all.toArray(String[]::new);
    }

    private String bridge() {
        return "trib" + id;
    }

    /** This machine's end of a host's link. */
    private String link(Host host) {
        return "tv%s-%d".formatted(id, host.number());
    }

    /** All of them. */
    public List<Host> all() {
        return IntStream.rangeClosed(1, count).mapToObj(this::host).toList();
    }

    /** The host of a number, from 1 on. */
    public Host host(int number) {
        return new Host(
                number,
                "tributary-%s-%d".formatted(id, number),
                "10.77.%d.%d".formatted(subnet, number));
    }

    /** Cuts a host's link. */
    public void cut(Host host) {
        run("ip", "link", "set", link(host), "down");
    }

    /** Mends it. */
    public void mend(Host host) {
        run("ip", "link", "set", link(host), "up");
    }

    /** Its memory is empty from now on, as after a crash. */
    public void forget(Host host) {
        try {
            if (Files.exists(host.memory())) {
                try (Stream<Path> files = Files.walk(host.memory())) {
                    for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                        if (!file.equals(host.memory())) {
                            Files.deleteIfExists(file);
                        }
                    }
                }
            }
            Files.createDirectories(host.memory());
        } catch (IOException e) {
            throw new UncheckedIOException("the memory of %s".formatted(host), e);
        }
    }

    /** Bytes that have left a host over its link. */
    public long sentBytes(Host host) {
        return counter(host, "rx_bytes");
    }

    /** Bytes that have come to a host over its link. */
    public long receivedBytes(Host host) {
        return counter(host, "tx_bytes");
    }

    private long counter(Host host, String what) {
        Path file = Path.of("/sys/class/net", link(host), "statistics", what);
        try {
            return Long.parseLong(Files.readString(file).strip());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Removes them, whatever is still there of them. What runs in them is ended by whoever began
     * it.
     */
    public void delete() {
        for (Host host : all()) {
            tryRun("ip", "link", "del", link(host));
            tryRun("ip", "netns", "del", host.namespace());
            tryRun("rm", "-rf", host.memory().toString());
        }
        tryRun("ip", "link", "del", bridge());
    }

    /** Whether they are there. */
    @JsonIgnore
    public boolean exist() {
        return Files.exists(Path.of("/sys/class/net", bridge()));
    }

    private static void within(Host host, String... command) {
        run(join(host.network(), List.of(command)));
    }

    private static void tryRun(String... command) {
        try {
            run(command);
        } catch (IllegalStateException expected) {
            // It was not there.
        }
    }

    private static String run(String... command) {
        try {
            // Some users' path leaves out where these are.
            ProcessBuilder builder =
                    new ProcessBuilder(join(List.of("env"), List.of(command)))
                            .redirectErrorStream(true);
            builder.environment().merge("PATH", ":/usr/sbin:/sbin", String::concat);
            Process process = builder.start();
            String output =
                    new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (process.waitFor() != 0) {
                throw new IllegalStateException(
                        "%s: %s (is it there? apt-get install iproute2 util-linux)"
                                .formatted(String.join(" ", command), output.strip()));
            }
            return output;
        } catch (IOException e) {
            throw new IllegalStateException("env cannot be run", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while making hosts", e);
        }
    }
}
