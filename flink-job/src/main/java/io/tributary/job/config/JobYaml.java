// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.tributary.operators.rule.Suggestion;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;

/** Reads {@code job.yaml}, and remembers on which line each value stands. */
public final class JobYaml {

    private static final Set<ConfigOption<?>> MAPS =
            Set.of(
                    JobOptions.ALGORITHM_PARAMETERS,
                    JobOptions.CONFIG,
                    JobOptions.KAFKA_PROPERTIES,
                    JobOptions.KAFKA_TRAINER_PROPERTIES);

    private static final List<ConfigOption<List<String>>> LISTS =
            List.of(JobOptions.TRANSPORTS, JobOptions.PERSONAL);

    private final String name;
    private final Map<String, Integer> lines = new LinkedHashMap<>();

    /** Where values come from that the file does not give. */
    private final Map<String, String> elsewhere = new TreeMap<>();

    private final Configuration values = new Configuration();

    private JobYaml(String name) {
        this.name = name;
    }

    /**
     * Reads and checks a file's text: every key is known, every value has its type.
     *
     * @param name stands for the file in errors
     * @throws ConfigException at the first mistake
     */
    public static JobYaml parse(String name, String text) {
        JobYaml yaml = new JobYaml(name);
        yaml.read(text);
        JobOptions.all().forEach(yaml::checkType);
        return yaml;
    }

    private void read(String text) {
        Deque<String> path = new ArrayDeque<>();
        try (JsonParser parser = new YAMLFactory().createParser(text)) {
            JsonToken token = parser.nextToken();
            if (token != JsonToken.START_OBJECT) {
                throw at(1, "expected keys and values such as 'job.name: demo'");
            }
            while ((token = parser.nextToken()) != null) {
                int line = parser.currentTokenLocation().getLineNr();
                switch (token) {
                    case FIELD_NAME ->
                            path.push(
                                    path.isEmpty()
                                            ? parser.currentName()
                                            : path.peek() + "." + parser.currentName());
                    case START_OBJECT -> {}
                    case END_OBJECT -> path.poll();
                    case START_ARRAY -> list(path.pop(), parser, line);
                    case VALUE_NULL -> path.pop();
                    default -> put(path.pop(), parser.getText(), line);
                }
            }
        } catch (JsonProcessingException e) {
            int line = e.getLocation() == null ? 1 : e.getLocation().getLineNr();
            throw at(line, "this is not YAML: %s", e.getOriginalMessage());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Reads the values of a list up to its end. */
    private void list(String key, JsonParser parser, int line) throws IOException {
        List<String> items = new ArrayList<>();
        for (JsonToken token = parser.nextToken();
                token != JsonToken.END_ARRAY;
                token = parser.nextToken()) {
            int itemLine = parser.currentTokenLocation().getLineNr();
            items.add(item(key, parser, itemLine));
            lines.put(item(key, items.size() - 1), itemLine);
        }
        known(key, line);
        values.set(
                list(key).orElseThrow(() -> at(line, "'%s' is a list, expected one value", key)),
                items);
    }

    private static Optional<ConfigOption<List<String>>> list(String key) {
        return LISTS.stream().filter(option -> option.key().equals(key)).findFirst();
    }

    private static String item(String key, int index) {
        return "%s[%d]".formatted(key, index);
    }

    /** YAML takes a {@code shm:} that stands alone for a key without a value. */
    private String item(String key, JsonParser parser, int line) throws IOException {
        JsonToken token = parser.currentToken();
        if (token.isScalarValue() && token != JsonToken.VALUE_NULL) {
            return parser.getText();
        }
        if (token != JsonToken.START_OBJECT) {
            throw at(line, "'%s' has an item that is no text, expected a list of texts", key);
        }
        parser.nextToken();
        String name = parser.currentName();
        if (parser.nextToken() != JsonToken.VALUE_NULL
                || parser.nextToken() != JsonToken.END_OBJECT) {
            throw at(line, "'%s' holds keys and values, expected a list of texts", key);
        }
        return name + ":";
    }

    private void put(String key, String value, int line) {
        known(key, line);
        list(key)
                .ifPresentOrElse(
                        option -> values.set(option, List.of(value)),
                        () -> values.setString(key, value));
    }

    private void known(String key, int line) {
        if (JobOptions.all().stream().noneMatch(option -> covers(option, key))) {
            throw at(line, "unknown key '%s'%s", key, suggestion(key));
        }
        if (lines.put(key, line) != null) {
            throw at(line, "'%s' is there twice", key);
        }
    }

    private static boolean covers(ConfigOption<?> option, String key) {
        return option.key().equals(key)
                || MAPS.contains(option) && key.startsWith(option.key() + ".");
    }

    private static String suggestion(String key) {
        return Suggestion.of(key, JobOptions.all().stream().map(ConfigOption::key).toList())
                .orElse("; docs/configuration.md has all keys");
    }

    private void checkType(ConfigOption<?> option) {
        try {
            values.getOptional(option);
        } catch (IllegalArgumentException e) {
            throw wrong(option, "expected " + expected(option));
        }
    }

    private static String expected(ConfigOption<?> option) {
        return OptionType.of(option).expectation();
    }

    /**
     * A value for an option, or for one of a map's names, that the file does not give.
     *
     * @param key of the option; of a map with the name behind it
     * @param place where the value comes from, for mistakes in it
     * @throws ConfigException when the value is not of the option's type
     */
    void otherwise(String key, String value, String place) {
        if (!lines.containsKey(key)) {
            values.setString(key, value);
            elsewhere.put(key, place);
            JobOptions.all().stream()
                    .filter(option -> option.key().equals(key))
                    .forEach(this::checkType);
        }
    }

    /** Whether the file gives an option, or something of a map. */
    boolean gives(ConfigOption<?> option) {
        return lines.keySet().stream().anyMatch(key -> covers(option, key));
    }

    /** The value, or the option's default; empty where it has neither. */
    public <T> Optional<T> find(ConfigOption<T> option) {
        return values.getOptional(option).or(() -> Optional.ofNullable(option.defaultValue()));
    }

    /**
     * @throws ConfigException when there is neither a value nor a default
     */
    public <T> T get(ConfigOption<T> option) {
        return find(option)
                .orElseThrow(
                        () ->
                                new ConfigException(
                                        "%s: '%s' is missing: %s"
                                                .formatted(
                                                        name,
                                                        option.key(),
                                                        OptionType.description(option))));
    }

    /** A number of at least 1. */
    <T extends Number> T positive(ConfigOption<T> option) {
        if (get(option).longValue() < 1) {
            throw wrong(option, "expected 1 or more");
        }
        return get(option);
    }

    /** A duration that is not negative. */
    Duration time(ConfigOption<Duration> option) {
        if (get(option).isNegative()) {
            throw wrong(option, "expected 0 or more");
        }
        return get(option);
    }

    /** A mistake in an option's value. */
    public ConfigException wrong(ConfigOption<?> option, String expectation) {
        String found = values.getString(option.key(), OptionType.shown(option.defaultValue()));
        return at(option.key(), "'%s' is '%s', %s", option.key(), found, expectation);
    }

    /** A mistake in what a map has, where its first value is. */
    public ConfigException wrongMap(ConfigOption<?> map, String why) {
        String first =
                Stream.concat(lines.keySet().stream(), elsewhere.keySet().stream())
                        .filter(key -> key.startsWith(map.key() + "."))
                        .findFirst()
                        .orElse(map.key());
        return at(first, "'%s': %s", map.key(), why);
    }

    /** A mistake in a value of a list. */
    public ConfigException wrongItem(ConfigOption<List<String>> list, int index, String why) {
        int line = lines.getOrDefault(list.key(), 1);
        return at(lines.getOrDefault(item(list.key(), index), line), "'%s': %s", list.key(), why);
    }

    /** A mistake in a value of a map. */
    public ConfigException wrong(ConfigOption<?> map, String key, String expectation) {
        String whole = map.key() + "." + key;
        return at(whole, "'%s': %s", whole, expectation);
    }

    private ConfigException at(String key, String text, Object... arguments) {
        String place = elsewhere.get(key);
        return place == null
                ? at(lines.getOrDefault(key, 1), text, arguments)
                : new ConfigException("%s: %s".formatted(place, text.formatted(arguments)));
    }

    private ConfigException at(int line, String text, Object... arguments) {
        return new ConfigException("%s:%d: %s".formatted(name, line, text.formatted(arguments)));
    }
}
