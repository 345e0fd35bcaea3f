// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.memory.region.JobDirectory;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.RoundId;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What a trainer has done, a line before and a line after each sending; survives the trainer. */
final class TrainerLog {

    private final Path file;

    TrainerLog(Path directory, String trainer) {
        this.file = directory.resolve(trainer + ".jsonl");
    }

    /**
     * A line.
     *
     * @param round the update's round
     * @param epoch its epoch
     * @param status the answer; empty before there is one
     * @param text why it was rejected
     */
    record Line(int round, long epoch, String status, String text) {

        RoundId id() {
            return new RoundId(round, epoch);
        }

        boolean answered() {
            return !status.isEmpty();
        }

        boolean counts() {
            return status.equals(Status.COMMITTED.name()) || status.equals(Status.DUPLICATE.name());
        }
    }

    void sending(RoundId round) {
        JobDirectory.append(file, new Line(round.round(), round.epoch(), "", ""));
    }

    void answered(RoundId round, Status status, String text) {
        JobDirectory.append(file, new Line(round.round(), round.epoch(), status.name(), text));
    }

    List<Line> lines() {
        List<Line> lines = new ArrayList<>();
        try {
            if (Files.exists(file)) {
                String all = Files.readString(file);
                // A line that a kill cut short says nothing.
                all.substring(0, all.lastIndexOf('\n') + 1)
                        .lines()
                        .map(line -> line.getBytes(StandardCharsets.UTF_8))
                        .map(line -> Json.decode(line, Line.class))
                        .forEach(lines::add);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return lines;
    }
}
