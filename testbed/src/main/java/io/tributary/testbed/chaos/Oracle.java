// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.memory.region.TensorFile;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundLedger.Entry;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Knows every update that was sent, because trainers write down what they send before they do, and
 * what an update holds follows from its name. Holds models, ledgers and receipts against that.
 */
final class Oracle {

    /** What a model may be off by, relative to the mean's largest magnitude. */
    static final double TOLERANCE = 1e-6;

    private record Update(String trainer, RoundId round) {}

    private final Map<Update, String> answers = new HashMap<>();
    private final Set<Update> sent = new HashSet<>();
    private final Map<Update, Integer> counted = new HashMap<>();
    private final List<String> faults = new ArrayList<>();
    private double worstError;
    private int rounds;

    /**
     * Looks at all that a run has left.
     *
     * @param logs the trainers' logs, by trainer
     * @param models the directory with models and ledgers
     */
    Oracle(Map<String, TrainerLog> logs, Path models) throws IOException {
        for (Map.Entry<String, TrainerLog> log : logs.entrySet()) {
            for (TrainerLog.Line line : log.getValue().lines()) {
                Update update = new Update(log.getKey(), line.id());
                sent.add(update);
                if (line.answered()) {
                    answers.merge(
                            update,
                            line.counts() ? "counts" : line.status(),
                            (a, b) -> a.equals("counts") ? a : b);
                }
            }
        }
        for (int round = 1; Files.exists(model(models, round)); round++) {
            Path ledger = PosixModelStore.at(models).ledger(round);
            if (Files.exists(ledger)) {
                rounds = round;
                check(
                        model(models, round),
                        Json.decode(Files.readAllBytes(ledger), RoundLedger.class));
            }
        }
        for (Update update : answers.keySet()) {
            boolean counts = answers.get(update).equals("counts");
            if (counts && !counted.containsKey(update)) {
                faults.add("lost: %s holds a receipt and is in no model".formatted(update));
            } else if (!counts && counted.containsKey(update)) {
                faults.add("rejected, but counted: " + update);
            }
        }
        counted.forEach(
                (update, times) -> {
                    if (times > 1) {
                        faults.add("counted %d times: %s".formatted(times, update));
                    }
                });
    }

    private static Path model(Path models, int round) {
        return PosixModelStore.at(models).model(round);
    }

    private void check(Path model, RoundLedger ledger) {
        double[] mean = new double[ChaosUpdates.ELEMENTS];
        double total = ledger.updates().stream().mapToLong(Entry::samples).sum();
        for (Entry entry : ledger.updates()) {
            Update update =
                    new Update(entry.trainer(), new RoundId(ledger.round(), ledger.epoch()));
            counted.merge(update, 1, Integer::sum);
            if (!sent.contains(update)) {
                faults.add("nobody sent %s, which is in a model".formatted(update));
            }
            float[] values = ChaosUpdates.values(update.trainer(), update.round());
            if (!"%08x".formatted(ChaosUpdates.crc32c(values)).equals(entry.crc32c())) {
                faults.add("other bytes than were sent: " + update);
            }
            for (int i = 0; i < mean.length; i++) {
                mean[i] += entry.samples() * (double) values[i] / total;
            }
        }
        double largest = 0;
        double difference = 0;
        try (TensorFile file = TensorFile.open(model)) {
            FloatBuffer values =
                    file.elements(file.header().tensors().get(0), 0, mean.length).asFloatBuffer();
            for (int i = 0; i < mean.length; i++) {
                largest = Math.max(largest, Math.abs(mean[i]));
                double off = Math.abs(mean[i] - values.get(i));
                difference = Double.isNaN(off) ? off : Math.max(difference, off);
            }
        }
        worstError = Math.max(worstError, difference / largest);
        if (!(difference <= TOLERANCE * largest)) {
            faults.add(
                    "model %d is off by %.1e of the mean of the %d updates of its ledger"
                            .formatted(
                                    ledger.round(), difference / largest, ledger.updates().size()));
        }
    }

    int rounds() {
        return rounds;
    }

    /** What became of updates. */
    ChaosReport.Updates updates() {
        return new ChaosReport.Updates(
                sent.size(), countedOnce(), countedTwice(), lost(), rejected(), unanswered());
    }

    int countedOnce() {
        return (int) counted.values().stream().filter(times -> times == 1).count();
    }

    int countedTwice() {
        return (int) counted.values().stream().filter(times -> times > 1).count();
    }

    private int lost() {
        return (int) faults.stream().filter(fault -> fault.startsWith("lost:")).count();
    }

    private int rejected() {
        return (int) answers.values().stream().filter(a -> !a.equals("counts")).count();
    }

    private int unanswered() {
        return sent.size() - answers.size();
    }

    double worstError() {
        return worstError;
    }

    List<String> faults() {
        return faults;
    }
}
