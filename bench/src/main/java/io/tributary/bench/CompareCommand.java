// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.cli.command.UsageException;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** {@code tributary bench compare}. */
@Command(
        name = "compare",
        mixinStandardHelpOptions = true,
        description =
                "Says what changed beyond the noise between two results of --json with several --runs: the quotient of the medians, new by old, and its 95 % interval (bootstrap).")
final class CompareCommand implements Callable<Integer> {

    @Parameters(index = "0", paramLabel = "OLD.json", description = "What --json wrote before.")
    private Path before;

    @Parameters(index = "1", paramLabel = "NEW.json", description = "What it wrote after.")
    private Path after;

    @Override
    public Integer call() {
        Report old = read(before);
        Report now = read(after);
        System.out.printf("old: %s%nnew: %s%n", old.machine(), now.machine());
        Map<String, List<Figure>> olds = old.figures();
        Map<String, List<Figure>> news = now.figures();
        for (Map.Entry<String, List<Figure>> figure : news.entrySet()) {
            List<Figure> was = olds.get(figure.getKey());
            if (was == null) {
                System.out.printf("%-48s only in the new one%n", figure.getKey());
                continue;
            }
            Comparison changed = Comparison.of(was, figure.getValue());
            System.out.printf(
                    "%-48s %5.2f  %.2f to %.2f  %s%n",
                    figure.getKey(),
                    changed.change(),
                    changed.low(),
                    changed.high(),
                    changed.verdict());
        }
        olds.keySet().stream()
                .filter(name -> !news.containsKey(name))
                .forEach(name -> System.out.printf("%-48s only in the old one%n", name));
        return 0;
    }

    private static Report read(Path file) {
        try {
            return Json.decode(Files.readAllBytes(file), Report.class);
        } catch (IOException | RejectedException e) {
            throw new UsageException(
                    "%s: expected what 'bench --json' wrote: %s".formatted(file, e.getMessage()));
        }
    }
}
