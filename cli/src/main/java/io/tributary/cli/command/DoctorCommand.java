// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.job.config.JobSpec;
import io.tributary.memory.guard.MemoryGuard;
import io.tributary.memory.kernel.FoldKernel;
import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.peer.Door;
import io.tributary.memory.region.MemoryLimit;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.SharedMemory;
import io.tributary.node.agent.AgentException;
import io.tributary.node.agent.AgentOptions;
import io.tributary.node.agent.BpfRequirements;
import io.tributary.node.agent.BpfRequirements.Requirement;
import io.tributary.node.agent.FreePorts;
import io.tributary.node.agent.NodeAgent;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.nd4j.linalg.factory.Nd4j;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code tributary doctor}. */
@Command(
        name = "doctor",
        description = "Checks what this machine has of what Tributary uses.",
        footer = {
            "",
            "Without what eBPF needs (kernel, capabilities, cgroup v2, libbpf, clang at build time)",
            "descriptors are relayed in user space, and all else works."
        })
public final class DoctorCommand implements Callable<Integer> {

    private static final int JDK = 17;
    private static final int PROBE_BYTES = 1 << 20;
    private static final int PINGS = 50;
    private static final int PING_MILLIS = 100;

    @Mixin private RegionArguments where;

    @Option(
            names = "--agent-port",
            paramLabel = "PORT",
            defaultValue = "" + Mailbox.DEFAULT_PORT,
            description = "The agent's port, if one runs. Default: ${DEFAULT-VALUE}.")
    private int agentPort;

    @Option(
            names = "--run-as",
            paramLabel = "USER",
            description =
                    "Of root alone: the user to check as. Default: who called sudo, else root.")
    private Optional<String> runAs;

    @Option(
            names = "--config",
            paramLabel = "FILE",
            description =
                    "Also checks the broker of a job.yaml: nobody else is to speak for the job.")
    private Optional<Path> config;

    @Override
    public Integer call() {
        Ports.requireAgent("--agent-port", agentPort);
        List<Requirement> all = new ArrayList<>();
        all.add(jdk());
        all.add(regions());
        all.add(memory());
        all.addAll(BpfRequirements.check());
        all.add(clang());
        all.add(agent());
        boolean guarded = MemoryGuard.install();
        all.add(
                new Requirement(
                        "guard",
                        guarded,
                        guarded
                                ? "regions may be cut short while they are read"
                                : "is not in this build; apt-get install clang libc6-dev make, and build again"));
        all.add(kernel());
        all.add(nd4j());
        config.map(JobSpec::read).map(DoctorCommand::broker).ifPresent(all::add);
        for (Requirement requirement : all) {
            System.out.printf(
                    "%-8s %-14s %s%n",
                    requirement.met() ? "OK" : "MISSING", requirement.name(), requirement.found());
        }
        return all.stream().allMatch(Requirement::met) ? 0 : 1;
    }

    private static Requirement jdk() {
        int feature = Runtime.version().feature();
        return new Requirement(
                "JDK",
                feature >= JDK,
                feature >= JDK
                        ? Runtime.version().toString()
                        : "is %d, needs %d; apt-get install openjdk-17-jdk-headless"
                                .formatted(feature, JDK));
    }

    private Requirement regions() {
        SharedMemory memory = SharedMemory.of(where.directory());
        try {
            RegionDirectory regions = new RegionDirectory(where.directory(), Long.MAX_VALUE);
            regions.own(RegionDirectory.unique("doctor"), PROBE_BYTES)
                    .orElseThrow(
                            () -> new IOException("no room for %d bytes".formatted(PROBE_BYTES)))
                    .delete();
        } catch (IOException | UncheckedIOException e) {
            return new Requirement("regions", false, e.getMessage());
        }
        return new Requirement(
                "regions",
                memory.enough(),
                "%s: %s".formatted(where.directory(), memory.description()));
    }

    private static Requirement memory() {
        OptionalLong limit = MemoryLimit.ofThisProcess();
        return new Requirement(
                "memory limit",
                true,
                limit.isEmpty()
                        ? "none"
                        : "%d MB, in which the regions count that this container touches first"
                                .formatted(limit.getAsLong() >> 20));
    }

    /** Sends a descriptor by the one that runs or, where none does, by one that it starts. */
    private Requirement agent() {
        try {
            Door.enter(where.directory(), agentPort);
            return carries(agentPort, "runs on port %d".formatted(agentPort));
        } catch (IOException none) {
            return agentOfItsOwn();
        }
    }

    private Requirement agentOfItsOwn() {
        if (BpfRequirements.rightsToSpare()) {
            return new Requirement(
                    "agent",
                    false,
                    "is not tried with all of root's rights; write 'doctor' first: ./tributary doctor");
        }
        int port = FreePorts.next(2);
        try (NodeAgent agent =
                NodeAgent.start(new AgentOptions(port, AgentOptions.Bpf.AUTO, where.directory()))) {
            boolean bpf = BpfRequirements.check().stream().allMatch(Requirement::met);
            Requirement carries = carries(port, agent.mode());
            return new Requirement(
                    carries.name(), carries.met() && agent.usesBpf() == bpf, carries.found());
        } catch (IOException | AgentException | UncheckedIOException e) {
            return new Requirement("agent", false, e.getMessage());
        }
    }

    private Requirement carries(int port, String how) {
        CountDownLatch pinged = new CountDownLatch(1);
        EndpointId id = EndpointId.of("doctor/" + UUID.randomUUID());
        try (Mailbox mailbox =
                Mailbox.open(
                        where.directory(),
                        port,
                        "doctor",
                        descriptor -> {
                            if (descriptor.kind() == Descriptor.Kind.PING) {
                                pinged.countDown();
                            }
                        })) {
            mailbox.listenHere(id);
            boolean arrived = false;
            for (int i = 0; i < PINGS && !arrived; i++) {
                mailbox.send(Descriptor.ring(Descriptor.Kind.PING, id));
                arrived = pinged.await(PING_MILLIS, TimeUnit.MILLISECONDS);
            }
            return new Requirement(
                    "agent", arrived, arrived ? how : how + "; it carries no descriptors here");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    private static Requirement broker(JobSpec spec) {
        List<String> warnings = spec.warnings();
        return new Requirement(
                "broker",
                warnings.isEmpty(),
                warnings.isEmpty()
                        ? "lets nobody else speak for job '%s'".formatted(spec.name())
                        : String.join("; ", warnings));
    }

    /** Where the eBPF object is in the jar, nothing is to be built. */
    private static Requirement clang() {
        try {
            Process process =
                    new ProcessBuilder("clang", "--version").redirectErrorStream(true).start();
            String version =
                    new String(process.getInputStream().readAllBytes())
                            .lines()
                            .findFirst()
                            .orElse("");
            return new Requirement("clang", process.waitFor() == 0, version);
        } catch (IOException e) {
            boolean built =
                    BpfRequirements.check().stream()
                            .anyMatch(r -> r.name().equals("eBPF object") && r.met());
            if (built) {
                return new Requirement("clang", true, "is not here, and not needed any more");
            }
            return new Requirement(
                    "clang",
                    false,
                    "is needed to build the eBPF object; apt-get install clang libbpf-dev make");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    private static Requirement kernel() {
        return new Requirement(
                "fold kernel", FoldKernel.advice().isEmpty(), FoldKernel.description());
    }

    private static Requirement nd4j() {
        try {
            return new Requirement("ND4J", true, Nd4j.getBackend().getClass().getSimpleName());
        } catch (RuntimeException | LinkageError e) {
            return new Requirement(
                    "ND4J",
                    false,
                    "has no backend for this machine (%s); it needs Linux on x86-64".formatted(e));
        }
    }
}
