// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.operators.optimizer.Algorithm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The page about algorithms names them all, with their parameters and defaults. */
class AlgorithmsDocTest {

    private static final Pattern ROW = Pattern.compile("^\\|(.*)\\|$", Pattern.MULTILINE);

    static Iterable<String> names() {
        return Algorithm.names();
    }

    private static String section(String name) throws IOException {
        String page =
                Files.readString(
                        Path.of(System.getProperty("tributary.home"), "docs/algorithms.md"));
        assertThat(page).contains("\n## " + name + "\n");
        return page.split("\n## " + name + "\n")[1].split("\n## ")[0];
    }

    /** The table of parameters: for each column, 'default' or a flavor, what is in it by name. */
    private static Map<String, Map<String, String>> columns(String name) throws IOException {
        Map<String, Map<String, String>> columns = new LinkedHashMap<>();
        List<String> heads = List.of();
        Matcher row = ROW.matcher(section(name));
        while (row.find()) {
            List<String> cells =
                    Arrays.stream(row.group(1).split("\\|")).map(String::strip).toList();
            if (cells.get(0).equals("parameter")) {
                heads = cells.subList(1, cells.size() - 1);
                heads.forEach(head -> columns.put(head, new TreeMap<>()));
            } else if (cells.get(0).matches("`[a-z0-9-]+`")) {
                for (int i = 0; i < heads.size(); i++) {
                    if (!cells.get(i + 1).equals("–")) {
                        columns.get(heads.get(i))
                                .put(cells.get(0).replace("`", ""), cells.get(i + 1));
                    }
                }
            }
        }
        return columns.isEmpty() ? Map.of("default", Map.of()) : columns;
    }

    @ParameterizedTest
    @MethodSource("names")
    void itsParametersAreThoseOfThePage(String name) throws IOException {
        for (Map.Entry<String, Map<String, String>> column : columns(name).entrySet()) {
            Map<String, String> flavor =
                    column.getKey().equals("default")
                            ? Map.of()
                            : Map.of("flavor", column.getKey());
            Map<String, String> documented = new TreeMap<>(flavor);
            documented.putAll(column.getValue());
            assertThat(Algorithm.named(name, documented))
                    .as("the defaults, " + column.getKey())
                    .isEqualTo(Algorithm.named(name, flavor));
            Map<String, String> strange = new TreeMap<>(flavor);
            strange.put("no-such-thing", "1");
            Set<String> known = new TreeSet<>(documented.keySet());
            if (known.contains("learning-rate")) {
                known.add("schedule");
            }
            if (!flavor.isEmpty()
                    && Algorithm.named(name, flavor).optimizer().toString().contains("COSINE")) {
                known.addAll(Set.of("schedule-rounds", "schedule-minimum"));
            }
            assertThatThrownBy(() -> Algorithm.named(name, strange))
                    .hasMessage(
                            "'no-such-thing' is unknown, expected "
                                    + (known.isEmpty() ? "no parameters" : "one of " + known));
        }
    }

    @ParameterizedTest
    @MethodSource("names")
    void aFlavorIsOneOfThePage(String name) throws IOException {
        Set<String> flavors = columns(name).keySet();
        if (!flavors.contains("default")) {
            assertThat(Algorithm.named(name, Map.of()))
                    .isEqualTo(Algorithm.named(name, Map.of("flavor", "paper")));
            assertThatThrownBy(() -> Algorithm.named(name, Map.of("flavor", "papre")))
                    .hasMessage(
                            "'flavor' is papre, expected one of %s; did you mean 'paper'?"
                                    .formatted(flavors));
        }
    }
}
