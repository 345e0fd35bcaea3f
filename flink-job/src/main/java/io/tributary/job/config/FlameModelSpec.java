// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.operators.rule.Parameters;
import io.tributary.operators.rule.Suggestion;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Flame's {@code modelSpec.json}: what it says holds where {@code job.yaml} says nothing.
 * Hyperparameters are for trainers, which find them in the config of each round; {@code rounds} is
 * the job's. Flame's optimizers are those of its flavor.
 */
final class FlameModelSpec {

    /** For each optimizer that both have, the parameters of it by Flame's names. */
    private static final Map<String, Map<String, String>> OPTIMIZERS = new TreeMap<>();

    static {
        Map<String, String> adaptive =
                Map.of(
                        "beta_1", "beta1",
                        "beta_2", "beta2",
                        "eta", "learning-rate",
                        "tau", "tau");
        OPTIMIZERS.put("fedavg", Map.of());
        OPTIMIZERS.put(
                "fedadagrad", Map.of("beta_1", "beta1", "eta", "learning-rate", "tau", "tau"));
        OPTIMIZERS.put("fedadam", adaptive);
        OPTIMIZERS.put("fedyogi", adaptive);
        OPTIMIZERS.put("fedprox", Map.of("mu", "mu"));
        OPTIMIZERS.put("feddyn", Map.of("alpha", "alpha"));
        OPTIMIZERS.put("scaffold", Map.of());
        OPTIMIZERS.put("fedgft", Map.of("fair", "fair", "gamma", "gamma", "reg", "reg"));
    }

    /** Those that have a flavor. */
    private static final List<String> FLAVORED =
            List.of("fedadagrad", "fedadam", "feddyn", "fedyogi", "scaffold");

    /** What is read, or is the trainers' affair. */
    private static final Set<String> FIELDS =
            Set.of("baseModel", "hyperparameters", "dependencies", "optimizer", "selector");

    private final String file;
    private final JsonNode json;
    private final JobYaml yaml;
    private final List<String> notes = new ArrayList<>();

    private FlameModelSpec(String file, JsonNode json, JobYaml yaml) {
        this.file = file;
        this.json = json;
        this.yaml = yaml;
    }

    /**
     * Reads a file into what {@code job.yaml} does not say.
     *
     * @return what of it is not followed, for people
     * @throws ConfigException at the first mistake
     */
    static List<String> read(Path file, JobYaml yaml) {
        JsonNode json;
        try {
            json = Json.tree(Files.readAllBytes(file));
        } catch (RejectedException e) {
            throw new ConfigException("%s: %s".formatted(file, e.getMessage()));
        } catch (IOException e) {
            throw new ConfigException("%s cannot be read: %s".formatted(file, e.getMessage()));
        }
        FlameModelSpec spec = new FlameModelSpec(file.toString(), json, yaml);
        spec.hyperparameters();
        spec.optimizer();
        spec.selector();
        spec.baseModel();
        spec.others();
        return spec.notes;
    }

    private void otherwise(String where, String key, String value) {
        yaml.otherwise(key, value, "%s: %s".formatted(file, where));
    }

    private ConfigException wrong(String where, Object found, String expected) {
        return new ConfigException(
                "%s: %s is %s, expected %s".formatted(file, where, found, expected));
    }

    private void hyperparameters() {
        json.path("hyperparameters")
                .properties()
                .forEach(
                        field -> {
                            JsonNode value = field.getValue();
                            if (field.getKey().equals("rounds")) {
                                if (!value.isIntegralNumber()) {
                                    throw wrong("hyperparameters.rounds", value, "a whole number");
                                }
                                otherwise(
                                        "hyperparameters.rounds",
                                        JobOptions.ROUNDS.key(),
                                        value.asText());
                            } else if (value.isValueNode() && !value.isNull()) {
                                otherwise(
                                        "hyperparameters." + field.getKey(),
                                        JobOptions.CONFIG.key() + "." + field.getKey(),
                                        value.asText());
                            } else if (!value.isNull()) {
                                notes.add(
                                        "%s: hyperparameters.%s is no number, text or boolean, and is not told to trainers"
                                                .formatted(file, field.getKey()));
                            }
                        });
    }

    private void optimizer() {
        JsonNode optimizer = json.path("optimizer");
        if (optimizer.isMissingNode() || yaml.gives(JobOptions.ALGORITHM)) {
            return;
        }
        String sort = optimizer.path("sort").asText("fedavg");
        Map<String, String> names = OPTIMIZERS.get(sort);
        if (names == null) {
            throw wrong("optimizer.sort", sort, Parameters.oneOf(sort, OPTIMIZERS.keySet()));
        }
        otherwise("optimizer.sort", JobOptions.ALGORITHM.key(), sort);
        if (FLAVORED.contains(sort)) {
            otherwise("optimizer.sort", JobOptions.ALGORITHM_PARAMETERS.key() + ".flavor", "flame");
        }
        optimizer
                .path("kwargs")
                .properties()
                .forEach(field -> parameter(sort, names, field.getKey(), field.getValue()));
    }

    private void parameter(String sort, Map<String, String> names, String name, JsonNode value) {
        if (value.isNull()) {
            return;
        }
        if (sort.equals("scaffold") && name.equals("k")) {
            // The number of local steps, which is the trainers' affair.
            otherwise("optimizer.kwargs.k", JobOptions.CONFIG.key() + ".k", value.asText());
            return;
        }
        if (!names.containsKey(name)) {
            throw new ConfigException(
                    "%s: optimizer.kwargs has '%s', which %s does not know, expected %s"
                            .formatted(
                                    file,
                                    name,
                                    sort,
                                    names.isEmpty()
                                            ? "none"
                                            : Parameters.oneOf(
                                                    name, new TreeSet<>(names.keySet()))));
        }
        otherwise(
                "optimizer.kwargs." + name,
                "%s.%s".formatted(JobOptions.ALGORITHM_PARAMETERS.key(), names.get(name)),
                value.asText());
    }

    private void selector() {
        String sort = json.path("selector").path("sort").asText("default");
        if (!sort.equals("default")) {
            notes.add(
                    "%s: selector '%s' is not followed: all trainers take part in each round"
                            .formatted(file, sort));
        }
    }

    private void others() {
        json.properties().stream()
                .map(Map.Entry::getKey)
                .filter(name -> !FIELDS.contains(name))
                .forEach(
                        name ->
                                notes.add(
                                        "%s: '%s' is not followed%s"
                                                .formatted(
                                                        file,
                                                        name,
                                                        Suggestion.of(name, FIELDS).orElse(""))));
    }

    private void baseModel() {
        String name = json.path("baseModel").path("name").asText("");
        if (!name.isEmpty()) {
            notes.add(
                    "%s: baseModel '%s' is not looked up: the job begins with model.initial"
                            .formatted(file, name));
        }
    }
}
