// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** Copies a run's logs to where they outlive it. */
final class KeptLogs {

    private KeptLogs() {}

    static Path keep(Path work) {
        try {
            Path kept = Files.createTempDirectory("tributary-chaos-logs-");
            try (Stream<Path> files = Files.walk(work)) {
                for (Path file : files.filter(KeptLogs::wanted).toList()) {
                    String name = work.relativize(file).toString().replace('/', '-');
                    Files.copy(file, kept.resolve(name));
                }
            }
            return kept;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static boolean wanted(Path file) {
        return file.toString().matches(".*\\.(log|out|jsonl|yaml)")
                || file.toString().matches(".*/models/.*\\.json");
    }
}
