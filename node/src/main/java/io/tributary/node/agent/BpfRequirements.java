// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import com.sun.jna.NativeLibrary;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.node.bpf.LibBpf;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the eBPF program needs of this machine. */
public final class BpfRequirements {

    /** The object's place in the jar. */
    static final String OBJECT = "/io/tributary/node/agent/mailbox.bpf.o";

    private static final Pattern VERSION = Pattern.compile("(\\d+)\\.(\\d+).*");
    private static final int MAJOR = 5;
    private static final int MINOR = 15;
    private static final int CAP_NET_ADMIN = 12;
    private static final long ROOT_CGROUP = 1;
    private static final int CAP_SETPCAP = 8;
    private static final int CAP_SYS_ADMIN = 21;
    private static final int CAP_BPF = 39;

    private BpfRequirements() {}

    /**
     * One requirement.
     *
     * @param name what
     * @param met whether it is met
     * @param found what was found or, if it is not met, what to do
     */
    public record Requirement(String name, boolean met, String found) {}

    /** All requirements. */
    public static List<Requirement> check() {
        List<Requirement> all = new ArrayList<>();
        all.add(kernel(System.getProperty("os.version")));
        all.add(capabilities());
        Optional<Path> cgroup = cgroup2();
        all.add(
                new Requirement(
                        "cgroup v2",
                        cgroup.isPresent(),
                        cgroup.map(Path::toString)
                                .orElse(
                                        "is not mounted; mount -t cgroup2 none /sys/fs/cgroup/unified")));
        all.add(library());
        all.add(object());
        return all;
    }

    /** Whether a kernel, by its release as in {@code uname -r}, is of a version or a newer one. */
    public static boolean atLeast(String release, int major, int minor) {
        Matcher version = VERSION.matcher(release);
        if (!version.matches()) {
            return false;
        }
        int its = Integer.parseInt(version.group(1));
        return its > major || its == major && Integer.parseInt(version.group(2)) >= minor;
    }

    static Requirement kernel(String release) {
        boolean met = atLeast(release, MAJOR, MINOR);
        return new Requirement(
                "kernel",
                met,
                met ? release : "is %s, needs %d.%d or newer".formatted(release, MAJOR, MINOR));
    }

    /**
     * Whether root has not given up what an agent does not need, though it could. Of other users'
     * processes that is no question.
     */
    public static boolean rightsToSpare() {
        long held = capabilities("CapPrm");
        boolean given = has(held, CAP_SETPCAP) || capabilities("NoNewPrivs") == 0;
        return TrustedDirectory.user() == 0
                && (held & ~(1L << CAP_BPF | 1L << CAP_NET_ADMIN)) != 0
                && given;
    }

    /** What stands before a command, so that root runs it with what an agent needs and no more. */
    public static List<String> withoutSpareRights() {
        if (!rightsToSpare()) {
            return List.of();
        }
        long held = capabilities("CapPrm");
        String keep =
                "-all"
                        + (has(held, CAP_NET_ADMIN) ? ",+net_admin" : "")
                        + (has(held, CAP_BPF) ? ",+bpf" : "");
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "setpriv",
                                "--no-new-privs",
                                "--inh-caps=" + keep,
                                "--ambient-caps=" + keep));
        if (has(held, CAP_SETPCAP)) {
            command.add("--bounding-set=" + keep);
        }
        return command;
    }

    private static long capabilities(String set) {
        return lines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith(set + ":"))
                .mapToLong(
                        line ->
                                Long.parseUnsignedLong(
                                        line.substring(set.length() + 1).strip(), 16))
                .findFirst()
                .orElse(0);
    }

    private static Requirement capabilities() {
        long effective = capabilities("CapEff");
        boolean met =
                has(effective, CAP_SYS_ADMIN) && has(effective, CAP_NET_ADMIN)
                        || has(effective, CAP_BPF) && has(effective, CAP_NET_ADMIN);
        return new Requirement(
                "capabilities",
                met,
                met
                        ? "CAP_BPF and CAP_NET_ADMIN"
                        : "CAP_BPF and CAP_NET_ADMIN are missing; let root start the agent, which then runs as you: sudo ./tributary agent");
    }

    /** Whether this process may use a capability, by its number in linux/capability.h. */
    public static boolean holds(int capability) {
        return has(capabilities("CapEff"), capability);
    }

    private static boolean has(long effective, int capability) {
        return (effective >> capability & 1) == 1;
    }

    /** Where the cgroup v2 hierarchy is mounted, as much of it as can be seen. */
    static Optional<Path> cgroup2() {
        List<Path> mounts =
                lines(Path.of("/proc/self/mounts")).stream()
                        .map(line -> line.split(" "))
                        .filter(mount -> mount[2].equals("cgroup2"))
                        .map(mount -> Path.of(mount[1]))
                        .toList();
        return mounts.stream()
                .filter(BpfRequirements::holdsAll)
                .findFirst()
                .or(() -> mounts.stream().findFirst());
    }

    /**
     * Whether a cgroup holds all processes of the host, rather than a container's, which in a
     * cgroup namespace of its own looks like the root.
     */
    static boolean holdsAll(Path cgroup) {
        try {
            return (long) Files.getAttribute(cgroup, "unix:ino") == ROOT_CGROUP;
        } catch (IOException e) {
            return false;
        }
    }

    /** The library that loads eBPF. */
    public static Requirement library() {
        try {
            String file = NativeLibrary.getInstance(LibBpf.NAME).getFile().toString();
            return new Requirement("libbpf", true, file);
        } catch (UnsatisfiedLinkError e) {
            return new Requirement(
                    "libbpf",
                    false,
                    "%s is missing; apt-get install libbpf1".formatted(LibBpf.NAME));
        }
    }

    private static Requirement object() {
        URL object = BpfRequirements.class.getResource(OBJECT);
        return new Requirement(
                "eBPF object",
                object != null,
                object != null
                        ? "in the jar"
                        : "is not in this build; apt-get install clang libbpf-dev make, and build again");
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
