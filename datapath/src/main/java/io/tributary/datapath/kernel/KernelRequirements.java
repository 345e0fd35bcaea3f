// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import com.sun.jna.NativeLibrary;
import io.tributary.node.agent.BpfRequirements;
import io.tributary.node.bpf.LibBpf;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What networks in the kernel need of this machine and this process. */
public final class KernelRequirements {

    private static final Pattern VERSION = Pattern.compile("(\\d+)\\.(\\d+).*");
    private static final Path BTF = Path.of("/sys/kernel/btf/vmlinux");
    private static final int CAP_NET_ADMIN = 12;
    private static final int CAP_SYS_ADMIN = 21;
    private static final int CAP_PERFMON = 38;
    private static final int CAP_BPF = 39;

    private KernelRequirements() {}

    /**
     * The first that is missing, and what to do.
     *
     * @param congestionControl whether for the congestion control too
     */
    public static Optional<String> missing(boolean congestionControl) {
        String release = System.getProperty("os.version");
        if (!atLeast(release, congestionControl ? 6 : 5, congestionControl ? 10 : 15)) {
            return Optional.of(
                    "the kernel is %s, %s needs %s or newer"
                            .formatted(
                                    release,
                                    congestionControl ? "the congestion control" : "this",
                                    congestionControl ? "6.10" : "5.15"));
        }
        if (!Files.isReadable(BTF)) {
            return Optional.of(
                    "the kernel says nothing of its types: there is no %s, which it has with CONFIG_DEBUG_INFO_BTF"
                            .formatted(BTF));
        }
        if (KernelRequirements.class.getResource(PolicyProgram.OBJECT) == null) {
            return Optional.of(
                    "the eBPF object is not in this build; apt-get install clang libbpf-dev make, and build again");
        }
        try {
            NativeLibrary.getInstance(LibBpf.NAME);
        } catch (UnsatisfiedLinkError e) {
            return Optional.of("%s is missing; apt-get install libbpf1".formatted(LibBpf.NAME));
        }
        boolean root = BpfRequirements.holds(CAP_SYS_ADMIN);
        boolean enough =
                BpfRequirements.holds(CAP_NET_ADMIN)
                        && (root || BpfRequirements.holds(CAP_BPF))
                        && (root || !congestionControl || BpfRequirements.holds(CAP_PERFMON));
        return enough
                ? Optional.empty()
                : Optional.of(
                        "%s are needed; run it as root"
                                .formatted(
                                        congestionControl
                                                ? "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
                                                : "CAP_BPF and CAP_NET_ADMIN"));
    }

    static boolean atLeast(String release, int major, int minor) {
        Matcher version = VERSION.matcher(release);
        if (!version.matches()) {
            return false;
        }
        int its = Integer.parseInt(version.group(1));
        return its > major || its == major && Integer.parseInt(version.group(2)) >= minor;
    }
}
