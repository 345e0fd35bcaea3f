// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.operators.optimizer.Algorithm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The page about algorithms names them all, with their parameters and defaults. */
class AlgorithmsDocTest {

    private static final Pattern PARAMETER =
            Pattern.compile("^\\| `([a-z0-9-]+)` \\| ([0-9.]+) \\|", Pattern.MULTILINE);

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

    @ParameterizedTest
    @MethodSource("names")
    void itsParametersAreThoseOfThePage(String name) throws IOException {
        Map<String, Double> documented = new TreeMap<>();
        Matcher row = PARAMETER.matcher(section(name));
        while (row.find()) {
            documented.put(row.group(1), Double.valueOf(row.group(2)));
        }
        assertThat(Algorithm.named(name, documented))
                .as("the defaults")
                .isEqualTo(Algorithm.named(name, Map.of()));
        assertThatThrownBy(() -> Algorithm.named(name, Map.of("no-such-thing", 1.0)))
                .hasMessageEndingWith(
                        documented.isEmpty()
                                ? "expected no parameters"
                                : "expected one of " + documented.keySet());
    }
}
