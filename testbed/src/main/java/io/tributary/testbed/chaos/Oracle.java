// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.memory.region.TensorFile;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.protocol.Json;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundLedger.Entry;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.protocol.tensor.TensorInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Knows every update that was sent, because trainers write down what they send before they do, and
 * what an update holds follows from its name. Holds models, ledgers and receipts against that.
 */
final class Oracle {

    /** What a model may be off by, relative to the largest magnitude. */
    static final double TOLERANCE = 1e-6;

    private record Update(String trainer, RoundId round) {}

    private final Map<Update, String> answers = new HashMap<>();
    private final Set<Update> sent = new HashSet<>();
    private final Map<Update, Integer> counted = new HashMap<>();
    private final List<String> faults = new ArrayList<>();
    private final Reference reference;
    private double worstError;
    private int rounds;

    /**
     * Looks at all that a run has left.
     *
     * @param logs the trainers' logs, by trainer
     * @param models the directory with models and ledgers
     * @param reference what models are to be
     */
    Oracle(Map<String, TrainerLog> logs, Path models, Reference reference) throws IOException {
        this.reference = reference;
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
                        round == 1 ? Optional.empty() : Optional.of(model(models, round - 1)),
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

    /**
     * Holds a model against its ledger.
     *
     * @param before the model from which trainers started; empty where all of it is zero
     */
    private void check(Path model, Optional<Path> before, RoundLedger ledger) {
        SafetensorsHeader header = SafetensorsHeader.read(model);
        Map<String, List<float[]>> updates = new HashMap<>();
        for (Entry entry : ledger.updates()) {
            Update update =
                    new Update(entry.trainer(), new RoundId(ledger.round(), ledger.epoch()));
            counted.merge(update, 1, Integer::sum);
            if (!sent.contains(update)) {
                faults.add("nobody sent %s, which is in a model".formatted(update));
            }
            Map<String, float[]> values = new HashMap<>();
            for (TensorInfo tensor : header.tensors()) {
                float[] its = ChaosUpdates.values(update.trainer(), update.round(), tensor.name());
                values.put(tensor.name(), its);
                updates.computeIfAbsent(tensor.name(), name -> new ArrayList<>()).add(its);
            }
            if (!"%08x".formatted(ChaosUpdates.crc32c(header, values)).equals(entry.crc32c())) {
                faults.add("other bytes than were sent: " + update);
            }
        }
        for (Map.Entry<String, List<float[]>> tensor : updates.entrySet()) {
            String name = tensor.getKey();
            float[] start =
                    before.map(file -> elements(file, name))
                            .orElse(new float[ChaosUpdates.ELEMENTS]);
            double[] expected = reference.next(name, start, tensor.getValue(), ledger);
            check(elements(model, name), expected, ledger);
        }
    }

    private static float[] elements(Path model, String tensor) {
        try (TensorFile file = TensorFile.open(model)) {
            float[] values = new float[ChaosUpdates.ELEMENTS];
            file.elements(file.header().find(tensor).orElseThrow(), 0, values.length)
                    .asFloatBuffer()
                    .get(values);
            return values;
        }
    }

    private void check(float[] found, double[] expected, RoundLedger ledger) {
        double largest = 0;
        double difference = 0;
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            double off = Math.abs(expected[i] - found[i]);
            difference = Double.isNaN(off) ? off : Math.max(difference, off);
        }
        worstError = Math.max(worstError, difference / largest);
        if (!(difference <= TOLERANCE * largest)) {
            faults.add(
                    "model %d is off by %.1e of what the %d updates of its ledger make"
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
