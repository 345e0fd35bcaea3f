// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.operators.model.ModelStore;
import io.tributary.protocol.topology.Topology;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A model that a job makes, with rounds, trainers and a directory of its own.
 *
 * @param tag its group of the root's channel, with dots for slashes; empty where it is the only one
 * @param job the name by which trainers know it
 * @param topology who aggregates for whom
 * @param models where it is written, a directory or a URI
 */
public record JobModel(String tag, String job, Topology topology, String models) {

    private static final Pattern LEDGER = Pattern.compile("model-(\\d{1,9})\\.json");

    /** The global job parameter that names a job's models; Flink's UI shows it. */
    private static final String NAMES = "tributary.models";

    /** What a job says to Flink of its models. */
    public static Map<String, String> parameters(List<JobModel> models) {
        return Map.of(NAMES, models.stream().map(JobModel::job).collect(Collectors.joining(",")));
    }

    /** The names of a job's models, as it has said them to Flink; none where it has not. */
    public static List<String> names(Map<String, String> parameters) {
        String names = parameters.getOrDefault(NAMES, "");
        return names.isEmpty() ? List.of() : List.of(names.split(","));
    }

    /**
     * The last round of which a model is there already, in a directory of this machine. A run that
     * begins anew writes over those of its own rounds, and leaves the others.
     */
    public OptionalInt lastThere() throws IOException {
        Path directory = Path.of(models);
        if (ModelStore.isObject(models) || !Files.isDirectory(directory)) {
            return OptionalInt.empty();
        }
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(file -> LEDGER.matcher(file.getFileName().toString()))
                    .filter(Matcher::matches)
                    .mapToInt(ledger -> Integer.parseInt(ledger.group(1)))
                    .max();
        }
    }

    /** Where its versions are. */
    public ModelStore store() {
        return ModelStore.at(models);
    }
}
