// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.command;

import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.RegionRef;
import io.tributary.shm.mailbox.Mailbox;
import io.tributary.shm.node.MemberStatus;
import io.tributary.shm.node.RegionInfo;
import io.tributary.shm.node.Regions;
import io.tributary.shm.region.MappedFile;
import io.tributary.shm.region.RegionDirectory;
import io.tributary.shm.region.RegionHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code tributary regions}. */
@Command(
        name = "regions",
        description = "Shows, or cleans up, the regions of this host; reads those of other nodes.")
public final class RegionsCommand implements Runnable {

    @Override
    public void run() {
        ls(Path.of(ShmArguments.DIRECTORY));
    }

    /** {@code tributary regions ls}. */
    @Command(name = "ls", description = "Lists regions: state, size, owner, what they hold.")
    int ls(
            @Option(
                            names = "--dir",
                            paramLabel = "DIR",
                            defaultValue = ShmArguments.DIRECTORY,
                            description = "The region directory. Default: ${DEFAULT-VALUE}.")
                    Path directory) {
        List<Path> regions = RegionDirectory.list(requireDirectory(directory));
        System.out.printf(
                "%-9s %6s %12s  %-14s %s%n", "state", "tenure", "bytes", "owner", "region");
        for (Path file : regions.stream().sorted().toList()) {
            Path name = directory.relativize(file);
            try {
                RegionHeader header = RegionHeader.read(file);
                System.out.printf(
                        "%-9s %6d %12d  %-14s %s %s%n",
                        header.state(),
                        header.tenure(),
                        header.payloadLength(),
                        header.owner().pid() + (header.owner().alive() ? "" : " (dead)"),
                        name,
                        header.description());
            } catch (RejectedException e) {
                System.out.printf("%-9s %6s %12s  %-14s %s%n", "damaged", "", "", "", name);
            }
        }
        System.out.printf(
                "%d regions, %.1f MB%n",
                regions.size(), RegionDirectory.usedBytes(directory) / 1e6);
        return 0;
    }

    /** {@code tributary regions reap}. */
    @Command(
            name = "reap",
            description =
                    "Deletes what dead processes left: at once what nobody can want, after a while what is READY or damaged.")
    int reap(
            @Option(
                            names = "--dir",
                            paramLabel = "DIR",
                            defaultValue = ShmArguments.DIRECTORY,
                            description = "The region directory. Default: ${DEFAULT-VALUE}.")
                    Path directory,
            @Option(
                            names = "--older-than",
                            paramLabel = "SECONDS",
                            defaultValue = "600",
                            description =
                                    "The while. A job may still want READY regions. Default: ${DEFAULT-VALUE}.")
                    long seconds) {
        if (seconds < 0) {
            throw new UsageException("--older-than %d: expected 0 or more".formatted(seconds));
        }
        List<Path> reaped =
                RegionDirectory.reap(requireDirectory(directory), Duration.ofSeconds(seconds));
        reaped.forEach(file -> System.out.println(directory.relativize(file)));
        System.out.printf("%d regions deleted%n", reaped.size());
        return 0;
    }

    /** {@code tributary regions nodes}. */
    @Command(name = "nodes", description = "Lists the nodes that this host's node knows.")
    int nodes(@Mixin NodePort port) throws IOException {
        try (Regions regions = port.regions()) {
            System.out.printf("%-24s %-24s %s%n", "node", "address", "state");
            for (MemberStatus seen : regions.members()) {
                System.out.printf(
                        "%-24s %-24s %s%n",
                        seen.member().node(),
                        seen.member().place(),
                        seen.alive() ? "alive" : "lost");
            }
        }
        return 0;
    }

    /** {@code tributary regions list}. */
    @Command(name = "list", description = "Lists the regions of a node, by this host's node.")
    int list(
            @Mixin NodePort port,
            @Parameters(paramLabel = "NODE", description = "Which node.") String node,
            @Parameters(
                            paramLabel = "PREFIX",
                            defaultValue = "",
                            description = "What names begin with.")
                    String prefix)
            throws IOException {
        try (Regions regions = port.regions()) {
            System.out.printf("%-9s %6s %12s  %s%n", "state", "tenure", "bytes", "region");
            for (RegionInfo region : regions.list(node, prefix)) {
                System.out.printf(
                        "%-9s %6d %12d  %s%n",
                        region.state(),
                        region.ref().tenure(),
                        region.ref().length(),
                        region.ref().name());
            }
        }
        return 0;
    }

    /** {@code tributary regions read}. */
    @Command(name = "read", description = "Copies a region's payload, wherever it lies.")
    int read(
            @Mixin NodePort port,
            @Parameters(paramLabel = "NODE", description = "Where it lies.") String node,
            @Parameters(paramLabel = "NAME", description = "Its name there.") String name,
            @Option(
                            names = "--out",
                            paramLabel = "FILE",
                            required = true,
                            description = "Where its bytes go.")
                    Path out,
            @Option(
                            names = "--offset",
                            paramLabel = "N",
                            defaultValue = "0",
                            description = "From which byte on. Default: ${DEFAULT-VALUE}.")
                    long offset,
            @Option(
                            names = "--length",
                            paramLabel = "N",
                            description = "How many bytes. Default: all.")
                    Optional<Long> length)
            throws IOException {
        try (Regions regions = port.regions()) {
            RegionRef whole = regions.find(node, name).ref();
            RegionRef range = whole.part(offset, length.orElse(whole.length() - offset));
            try (Regions.Open open = regions.open(range);
                    FileChannel file =
                            FileChannel.open(
                                    out,
                                    StandardOpenOption.CREATE,
                                    StandardOpenOption.TRUNCATE_EXISTING,
                                    StandardOpenOption.WRITE)) {
                for (RegionRef piece : range.pieces(MappedFile.MAX_SLICE)) {
                    ByteBuffer bytes = open.memory().slice(piece.offset(), (int) piece.length());
                    while (bytes.hasRemaining()) {
                        file.write(bytes);
                    }
                }
            }
            System.out.printf("%d bytes of %s on %s%n", range.length(), name, node);
        }
        return 0;
    }

    /** Which node does it. */
    static final class NodePort {

        @Option(
                names = "--port",
                paramLabel = "PORT",
                defaultValue = "" + Mailbox.DEFAULT_PORT,
                description = "The port of this host's agent. Default: ${DEFAULT-VALUE}.")
        private int port;

        private Regions regions() {
            return Regions.by(port + AgentCommand.LOCAL_OFFSET);
        }
    }

    private static Path requireDirectory(Path directory) {
        if (Files.exists(directory) && !Files.isDirectory(directory)) {
            throw new UsageException("--dir %s: expected a directory".formatted(directory));
        }
        return directory;
    }
}
