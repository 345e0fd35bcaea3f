// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.source;

import io.tributary.memory.region.JobDirectory;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.ControlMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * What evaluators on this host have written: a file for each, which is written anew for each model,
 * and to ask for an answer. Not thread-safe.
 */
final class EvaluationRegister {

    private final String job;
    private final JobDirectory directory;

    /** Of each file, which one it was when it was read. */
    private final Map<Path, String> seen = new HashMap<>();

    EvaluationRegister(String job, JobDirectory directory) {
        this.job = job;
        this.directory = directory;
    }

    /** Hands on what is new from evaluators of some lanes. */
    void scan(Set<Integer> lanes, Consumer<TrainerEvent> out) {
        List<Path> files = directory.evaluations();
        seen.keySet().retainAll(new HashSet<>(files));
        for (Path file : files) {
            String evaluator = file.getFileName().toString().replaceFirst("\\.json$", "");
            String which = TrainerRegister.which(file);
            if (lanes.contains(Topics.lane(evaluator)) && !which.equals(seen.put(file, which))) {
                read(file, evaluator).ifPresent(out);
            }
        }
    }

    private Optional<TrainerEvent> read(Path file, String evaluator) {
        try {
            return JobDirectory.readSmall(file, ControlMessage.class)
                    .map(message -> new TrainerEvent.Control(checked(message, evaluator)));
        } catch (RejectedException e) {
            return Optional.of(
                    new TrainerEvent.InputRejected(
                            new DeadLetter(
                                    file.toString(), evaluator, 0, 0, e.reason(), e.getMessage())));
        }
    }

    private ControlMessage checked(ControlMessage message, String evaluator) {
        if (message.type() != Type.EVALUATION
                || !message.job().equals(job)
                || !message.trainer().equals(evaluator)) {
            throw new RejectedException(
                    RejectReason.MALFORMED,
                    "expected an EVALUATION of job '%s' by '%s', which the file is named after"
                            .formatted(job, evaluator));
        }
        return message;
    }
}
