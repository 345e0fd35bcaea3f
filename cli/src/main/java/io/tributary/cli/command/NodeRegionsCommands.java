// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.region.MappedFile;
import io.tributary.node.MemberStatus;
import io.tributary.node.Node;
import io.tributary.node.NodeClient;
import io.tributary.node.RegionInfo;
import io.tributary.protocol.message.RegionRef;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** What {@code tributary regions} asks of this host's node. */
final class NodeRegionsCommands {

    private NodeRegionsCommands() {}

    /** A command for this host's node. */
    abstract static class ByNode implements Callable<Integer> {

        @Option(
                names = "--port",
                paramLabel = "PORT",
                defaultValue = "" + Mailbox.DEFAULT_PORT,
                description = "The port of this host's agent. Default: ${DEFAULT-VALUE}.")
        private int port;

        @Mixin private RegionArguments where;

        @Override
        public final Integer call() throws IOException {
            try (NodeClient regions =
                    NodeClient.by(
                            where.directory(),
                            Ports.requireAgent("--port", port) + Node.LOCAL_OFFSET)) {
                call(regions);
            }
            return 0;
        }

        abstract void call(NodeClient regions) throws IOException;
    }

    /** A command for one node, whichever it is. */
    abstract static class OfNode extends ByNode {

        @Parameters(paramLabel = "NODE", description = "Which node.")
        private String node;

        final String node() {
            return node;
        }
    }

    /** A command for one region. */
    abstract static class OfRegion extends OfNode {

        @Parameters(paramLabel = "NAME", description = "Its name there.")
        private String name;

        final String name() {
            return name;
        }

        /** All of it, as it is now. */
        final RegionRef find(NodeClient regions) throws IOException {
            return regions.find(node(), name).ref();
        }
    }

    /** {@code tributary regions nodes}. */
    @Command(name = "nodes", description = "Lists the nodes that this host's node knows.")
    static final class Nodes extends ByNode {

        @Override
        void call(NodeClient regions) throws IOException {
            List<MemberStatus> members = regions.members();
            System.out.printf("%-24s %-24s %s%n", "node", "address", "state");
            for (MemberStatus seen : members) {
                System.out.printf(
                        "%-24s %-24s %s%n",
                        seen.member().node(),
                        seen.member().place(),
                        seen.alive() ? "alive" : "lost");
            }
        }
    }

    /** {@code tributary regions list}. */
    @Command(name = "list", description = "Lists the regions of a node.")
    static final class Listing extends OfNode {

        @Parameters(
                paramLabel = "PREFIX",
                defaultValue = "",
                description = "What names begin with.")
        private String prefix;

        @Override
        void call(NodeClient regions) throws IOException {
            List<RegionInfo> found = regions.list(node(), prefix);
            System.out.printf("%-9s %10s %12s  %s%n", "state", "generation", "bytes", "region");
            for (RegionInfo region : found) {
                System.out.printf(
                        "%-9s %10d %12d  %s%n",
                        region.state(),
                        region.ref().generation(),
                        region.ref().length(),
                        region.ref().name());
            }
        }
    }

    /** {@code tributary regions allocate}. */
    @Command(name = "allocate", description = "Makes a region of zeros, which belongs to you.")
    static final class Allocate extends OfRegion {

        @Parameters(paramLabel = "BYTES", description = "Its length.")
        private long length;

        @Override
        void call(NodeClient regions) throws IOException {
            regions.allocate(node(), name(), length);
            System.out.printf("%d bytes, %s on %s%n", length, name(), node());
        }
    }

    /** {@code tributary regions read}. */
    @Command(name = "read", description = "Copies a region's payload to a file.")
    static final class Read extends OfRegion {

        @Option(
                names = "--out",
                paramLabel = "FILE",
                required = true,
                description = "Where its bytes go.")
        private Path out;

        @Option(
                names = "--offset",
                paramLabel = "N",
                defaultValue = "0",
                description = "From which byte on. Default: ${DEFAULT-VALUE}.")
        private long offset;

        @Option(names = "--length", paramLabel = "N", description = "How many bytes. Default: all.")
        private Optional<Long> length;

        @Override
        void call(NodeClient regions) throws IOException {
            RegionRef whole = find(regions);
            RegionRef range = whole.part(offset, length.orElse(whole.length() - offset));
            try (NodeClient.Open open = regions.open(range);
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
                open.requireUnchanged();
            }
            System.out.printf("%d bytes of %s on %s%n", range.length(), name(), node());
        }
    }

    /** {@code tributary regions write}. */
    @Command(name = "write", description = "Writes a file into a region of yours.")
    static final class Write extends OfRegion {

        @Option(
                names = "--in",
                paramLabel = "FILE",
                required = true,
                description = "What is written, at most 2 GB.")
        private Path in;

        @Option(
                names = "--offset",
                paramLabel = "N",
                defaultValue = "0",
                description = "From which byte on. Default: ${DEFAULT-VALUE}.")
        private long offset;

        @Override
        void call(NodeClient regions) throws IOException {
            try (FileChannel file = FileChannel.open(in)) {
                ByteBuffer bytes = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size());
                RegionRef written =
                        regions.write(find(regions).part(offset, bytes.remaining()), bytes);
                System.out.printf(
                        "%d bytes of %s on %s, now in generation %d%n",
                        written.length(), name(), node(), written.generation());
            }
        }
    }

    /** {@code tributary regions free}. */
    @Command(name = "free", description = "Deletes a region of yours.")
    static final class Free extends OfRegion {

        @Override
        void call(NodeClient regions) throws IOException {
            regions.free(find(regions));
            System.out.printf("%s on %s is gone%n", name(), node());
        }
    }

    /** {@code tributary regions grant}. */
    @Command(name = "grant", description = "Lets another user, or a group, read a region of yours.")
    static final class Grant extends OfRegion {

        @Parameters(paramLabel = "ID", description = "The user's id; with --group, the group's.")
        private int id;

        @Option(names = "--group", description = "All users of a group on that host.")
        private boolean group;

        @Override
        void call(NodeClient regions) throws IOException {
            if (group) {
                regions.grantGroup(find(regions), id);
            } else {
                regions.grant(find(regions), id);
            }
            System.out.printf(
                    "%s %d may read %s on %s%n", group ? "group" : "user", id, name(), node());
        }
    }

    /** {@code tributary regions add}. */
    @Command(name = "add", description = "Adds to a counter, and shows what was in it before.")
    static final class Add extends OfRegion {

        @Parameters(paramLabel = "N", description = "What is added; may be negative or 0.")
        private long delta;

        @Override
        void call(NodeClient regions) throws IOException {
            System.out.println(regions.fetchAndAdd(node(), name(), delta));
        }
    }

    /** {@code tributary regions barrier}. */
    @Command(name = "barrier", description = "Waits until so many are at a barrier.")
    static final class Barrier extends OfRegion {

        @Parameters(paramLabel = "PARTIES", description = "How many.")
        private int parties;

        @Option(
                names = "--patience",
                paramLabel = "SECONDS",
                defaultValue = "60",
                description = "How long. Default: ${DEFAULT-VALUE}.")
        private long seconds;

        @Override
        void call(NodeClient regions) throws IOException {
            int mine = regions.barrier(node(), name(), parties, Duration.ofSeconds(seconds));
            System.out.printf("number %d of %d%n", mine, parties);
        }
    }
}
