// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.description.HtmlFormatter;
import org.apache.flink.util.TimeUtils;

/**
 * What an option takes, in words.
 *
 * @param name for the reference
 * @param expectation for errors
 */
public record OptionType(String name, String expectation) {

    private static final Map<Class<?>, OptionType> ALL =
            Map.of(
                    String.class, new OptionType("text", "a text"),
                    Boolean.class, new OptionType("true or false", "true or false"),
                    Integer.class, new OptionType("integer", "an integer"),
                    Long.class, new OptionType("integer", "an integer"),
                    Double.class, new OptionType("number", "a number"),
                    Duration.class, new OptionType("duration", "a duration such as '30 s'"),
                    MemorySize.class, new OptionType("size", "a size such as '512 mb'"),
                    List.class, new OptionType("list", "a list"),
                    Map.class, new OptionType("map", "keys and values"));

    /** The type of an option. */
    public static OptionType of(ConfigOption<?> option) {
        Class<?> type = type(option);
        if (type.isEnum()) {
            String values =
                    Arrays.stream(type.getEnumConstants())
                            .map(OptionType::shown)
                            .collect(Collectors.joining(" or "));
            return new OptionType(values, values);
        }
        return ALL.get(type);
    }

    private static Class<?> type(ConfigOption<?> option) {
        // Flink keeps the class to itself; the default, or a field's type argument, tells it.
        return Arrays.stream(JobOptions.class.getFields())
                .filter(f -> f.getType() == ConfigOption.class)
                .filter(
                        f -> {
                            try {
                                return f.get(null) == option;
                            } catch (IllegalAccessException e) {
                                throw new AssertionError(e);
                            }
                        })
                .map(f -> (ParameterizedType) f.getGenericType())
                .map(t -> t.getActualTypeArguments()[0])
                .<Class<?>>map(OptionType::raw)
                .findFirst()
                .orElseThrow();
    }

    private static Class<?> raw(Type type) {
        return (Class<?>) (type instanceof ParameterizedType generic ? generic.getRawType() : type);
    }

    /** A default as one would write it. */
    public static String shown(Object value) {
        if (value == null) {
            return "";
        }
        if (value instanceof Enum<?> constant) {
            return constant.name().toLowerCase(Locale.ROOT);
        }
        if (value instanceof Duration duration) {
            return TimeUtils.formatWithHighestUnit(duration);
        }
        if (value instanceof MemorySize size) {
            return size.toHumanReadableString();
        }
        return value instanceof Map<?, ?> map && map.isEmpty() ? "" : value.toString();
    }

    /** An option's description as plain text. */
    public static String description(ConfigOption<?> option) {
        return new HtmlFormatter().format(option.description());
    }
}
