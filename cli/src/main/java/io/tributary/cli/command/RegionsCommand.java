// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.TrustedDirectory;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code tributary regions}. */
@Command(
        name = "regions",
        description =
                "Shows, or cleans up, the regions of this host; by its node, those of any other.",
        subcommands = {
            NodeRegionsCommands.Nodes.class,
            NodeRegionsCommands.Listing.class,
            NodeRegionsCommands.Allocate.class,
            NodeRegionsCommands.Read.class,
            NodeRegionsCommands.Write.class,
            NodeRegionsCommands.Free.class,
            NodeRegionsCommands.Grant.class,
            NodeRegionsCommands.Add.class,
            NodeRegionsCommands.Barrier.class
        })
public final class RegionsCommand implements Runnable {

    @Override
    public void run() {
        ls(TrustedDirectory.of(RegionArguments.DIRECTORY));
    }

    /** {@code tributary regions ls}. */
    @Command(name = "ls", description = "Lists regions: state, size, owner, what they hold.")
    int ls(@Mixin RegionArguments where) {
        return ls(where.directory());
    }

    private static int ls(Path directory) {
        List<Path> regions = RegionDirectory.list(requireDirectory(directory));
        System.out.printf(
                "%-9s %10s %12s  %-14s %s%n", "state", "generation", "bytes", "owner", "region");
        for (Path file : regions.stream().sorted().toList()) {
            Path name = directory.relativize(file);
            try {
                RegionHeader header = RegionHeader.read(file);
                System.out.printf(
                        "%-9s %10d %12d  %-14s %s %s%n",
                        header.state(),
                        header.generation(),
                        header.payloadLength(),
                        header.owner().pid() + (header.owner().alive(file) ? "" : " (dead)"),
                        name,
                        header.description());
            } catch (RejectedException e) {
                System.out.printf("%-9s %10s %12s  %-14s %s%n", "damaged", "", "", "", name);
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
            @Mixin RegionArguments where,
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
        Path directory = where.directory();
        List<Path> reaped =
                RegionDirectory.reap(requireOwn(directory), Duration.ofSeconds(seconds));
        reaped.forEach(file -> System.out.println(directory.relativize(file)));
        System.out.printf(
                "%d regions deleted; READY ones are kept for %d s (--older-than)%n",
                reaped.size(), seconds);
        return 0;
    }

    /** What others can change, or what is no region directory at all, is not cleaned up here. */
    private static Path requireOwn(Path directory) {
        requireDirectory(directory);
        try {
            if (Files.exists(directory)) {
                TrustedDirectory.require(directory);
            }
        } catch (IOException e) {
            throw new UsageException("--dir %s: %s".formatted(directory, e.getMessage()));
        }
        if (Files.exists(directory) && !TrustedDirectory.plausible(directory)) {
            throw new UsageException(
                    "--dir %s: expected a region directory, or that of a job in one; nobody has made regions in it"
                            .formatted(directory));
        }
        return directory;
    }

    private static Path requireDirectory(Path directory) {
        if (Files.exists(directory) && !Files.isDirectory(directory)) {
            throw new UsageException("--dir %s: expected a directory".formatted(directory));
        }
        return directory;
    }
}
