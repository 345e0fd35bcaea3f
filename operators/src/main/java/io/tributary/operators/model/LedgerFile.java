// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundLedger.Entry;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Parts of a ledger in a directory, and how they become one file. At no time is all of it in
 * memory.
 *
 * @param directory with a file for each part, named by its number
 */
record LedgerFile(Path directory) {

    /** What a ledger without updates has where they belong. */
    private static final String NO_UPDATES = "\"updates\" : [ ]";

    /** Lines that have all but the updates, and more. */
    private static final int HEAD_LINES = 12;

    /** Writes a part, or writes it again. */
    void write(int number, List<Entry> updates) throws IOException {
        Files.createDirectories(directory);
        Files.write(directory.resolve(Integer.toString(number)), Json.encode(updates));
    }

    /** Waits until what has been written is on the disk. */
    void force() throws IOException {
        for (Path part : parts()) {
            PosixModelStore.force(part);
        }
        if (Files.exists(directory)) {
            PosixModelStore.force(directory);
            PosixModelStore.force(directory.getParent());
        }
    }

    /** The parts in order. */
    private List<Path> parts() {
        List<Path> parts = new ArrayList<>();
        for (int number = 0; ; number++) {
            Path part = directory.resolve(Integer.toString(number));
            if (!Files.exists(part)) {
                return parts;
            }
            parts.add(part);
        }
    }

    /**
     * Writes the whole ledger as JSON for people.
     *
     * @param ledger with the updates of the last part
     * @param file where to
     */
    void join(RoundLedger ledger, Path file) throws IOException {
        RoundLedger empty =
                new RoundLedger(
                        ledger.job(),
                        ledger.round(),
                        ledger.epoch(),
                        ledger.modelEpoch(),
                        ledger.rejected(),
                        ledger.base(),
                        ledger.trainers(),
                        ledger.metrics(),
                        ledger.groups(),
                        List.of());
        String[] around = Json.pretty(empty).split(Pattern.quote(NO_UPDATES), 2);
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            out.write(around[0] + "\"updates\" : [");
            String separator = " ";
            for (Path part : parts()) {
                separator =
                        write(Json.decode(Files.readAllBytes(part), Entry[].class), separator, out);
            }
            write(ledger.updates().toArray(Entry[]::new), separator, out);
            out.write(" ]" + around[1] + "\n");
        }
    }

    private static String write(Entry[] updates, String before, BufferedWriter out)
            throws IOException {
        String separator = before;
        for (Entry update : updates) {
            out.write(separator + Json.pretty(update).replace("\n", "\n  "));
            separator = ", ";
        }
        return separator;
    }

    /** What begins the line with the evaluator's word, after the first line of a ledger. */
    private static final String EVALUATION = "  \"evaluation\" : ";

    /** Whether a ledger is there, and is that of a version. */
    static boolean isOf(Path ledger, RoundId version) throws IOException {
        String wanted = "  \"modelEpoch\" : %d,".formatted(version.epoch());
        try (Stream<String> lines = Files.lines(ledger)) {
            return lines.limit(HEAD_LINES).anyMatch(wanted::equals);
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    /**
     * Writes the evaluator's word into a ledger, in place of an earlier one.
     *
     * @param evaluation in JSON, in one line
     */
    static void evaluate(Path ledger, String evaluation) throws IOException {
        Path part = ledger.resolveSibling("." + UUID.randomUUID() + PosixModelStore.PART);
        try (BufferedReader in = Files.newBufferedReader(ledger);
                BufferedWriter out = Files.newBufferedWriter(part)) {
            out.write(in.readLine() + "\n");
            out.write(EVALUATION + evaluation + ",\n");
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                if (!line.startsWith(EVALUATION)) {
                    out.write(line + "\n");
                }
            }
        }
        PosixModelStore.replace(part, ledger);
    }

    /**
     * Whether the parts have become one file already; without them it must not be written again.
     */
    boolean joined() {
        return Files.exists(directory) && parts().isEmpty();
    }

    /** Removes the parts, which are in one file now. Without the first they count as joined. */
    void remove() throws IOException {
        for (Path part : parts()) {
            Files.delete(part);
        }
    }
}
