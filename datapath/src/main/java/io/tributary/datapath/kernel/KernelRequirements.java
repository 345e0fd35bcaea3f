// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import io.tributary.node.agent.BpfRequirements;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** What networks in the kernel need of this machine and this process. */
public final class KernelRequirements {

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
        if (!BpfRequirements.atLeast(
                release, congestionControl ? 6 : 5, congestionControl ? 10 : 15)) {
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
        BpfRequirements.Requirement library = BpfRequirements.library();
        if (!library.met()) {
            return Optional.of(library.found());
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
}
