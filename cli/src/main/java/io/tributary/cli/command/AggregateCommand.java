// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.job.files.FileAggregation;
import io.tributary.job.files.FileUpdate;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code tributary aggregate}. */
@Command(
        name = "aggregate",
        description = "Writes the weighted mean of safetensors files, weights or deltas.")
public final class AggregateCommand implements Callable<Integer> {

    @Option(
            names = "--out",
            paramLabel = "FILE",
            required = true,
            description = "The model to write.")
    private Path out;

    @Option(
            names = "--base",
            paramLabel = "FILE",
            description = "The updates are deltas to this model.")
    private Optional<Path> base;

    @Option(
            names = "--tree",
            paramLabel = "2|3|4",
            defaultValue = "3",
            description = "Tiers of the tree, files included. Default: ${DEFAULT-VALUE}.")
    private int tree;

    @Option(
            names = "--fan-in",
            paramLabel = "N",
            defaultValue = "8",
            description = "Children of a node below the top. Default: ${DEFAULT-VALUE}.")
    private int fanIn;

    @Parameters(
            paramLabel = "UPDATE.safetensors[:SAMPLES]",
            arity = "1..*",
            description = "A file and its weight, 1 unless given.")
    private List<String> updates;

    @Override
    public Integer call() throws Exception {
        if (tree < 2 || tree > 4) {
            throw new UsageException("--tree %d: expected 2, 3 or 4".formatted(tree));
        }
        if (fanIn < 1) {
            throw new UsageException("--fan-in %d: expected 1 or more".formatted(fanIn));
        }
        Path directory = out.toAbsolutePath().getParent();
        if (!Files.isDirectory(directory)) {
            throw new UsageException(
                    "--out %s: there is no directory %s".formatted(out, directory));
        }
        if (Files.isDirectory(out)) {
            throw new UsageException("--out %s: it is a directory, expected a file".formatted(out));
        }
        if (Files.exists(out)) {
            // What a link leads to is written anew, and the link stays.
            out = out.toRealPath();
            directory = out.getParent();
        }
        try {
            PosixModelStore.requireRegular(out);
        } catch (FileAlreadyExistsException e) {
            throw new UsageException("--out %s: %s".formatted(out, e.getReason()));
        }
        if (!Files.isWritable(directory)) {
            throw new UsageException(
                    "--out %s: directory %s cannot be written".formatted(out, directory));
        }
        List<FileUpdate> files = new ArrayList<>();
        for (String update : updates) {
            files.add(parse(update));
        }
        List<String> rejected = new FileAggregation(files, base, out, tree, fanIn).run();
        if (!rejected.isEmpty()) {
            String more =
                    rejected.size() == 1 ? "" : " (and %d more)".formatted(rejected.size() - 1);
            throw new RejectedException(RejectReason.MALFORMED, rejected.get(0) + more);
        }
        System.out.printf(
                "%s: the mean of %d update%s%n", out, files.size(), files.size() == 1 ? "" : "s");
        return 0;
    }

    private static FileUpdate parse(String update) {
        int colon = update.lastIndexOf(':');
        if (colon < 0 || Files.exists(Path.of(update))) {
            return new FileUpdate(update, 1);
        }
        String samples = update.substring(colon + 1);
        try {
            long count = Long.parseLong(samples);
            if (count >= 1) {
                return new FileUpdate(update.substring(0, colon), count);
            }
        } catch (NumberFormatException ignored) {
            // Said below.
        }
        throw new UsageException(
                "%s: samples are '%s', expected a whole number of 1 or more"
                        .formatted(update, samples));
    }
}
