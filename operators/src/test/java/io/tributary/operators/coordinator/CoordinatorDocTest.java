// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.operators.coordinator.CoordinatorState.Phase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The picture of the coordinator in docs/architecture.md has what the machine has. */
class CoordinatorDocTest {

    private String section;

    @BeforeEach
    void read() throws IOException {
        String page = Files.readString(Path.of("../docs/architecture.md"));
        int begin = page.indexOf("## The coordinator");
        section = page.substring(begin, page.indexOf("\n## ", begin));
    }

    private Set<String> found(String pattern) {
        return Pattern.compile(pattern, Pattern.MULTILINE)
                .matcher(section)
                .results()
                .map(match -> match.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    private static Set<String> names(Class<?> sealed) {
        return Arrays.stream(sealed.getPermittedSubclasses())
                .map(Class::getSimpleName)
                .collect(Collectors.toCollection(TreeSet::new));
    }

    @Test
    void thePictureHasAllStates() {
        assertThat(found("^  ([A-Z]+) -->"))
                .isEqualTo(
                        Stream.of(Phase.values())
                                .map(Phase::name)
                                .collect(Collectors.toCollection(TreeSet::new)));
    }

    @Test
    void theTablesHaveAllEventsAndEffects() {
        Set<String> expected = names(CoordinatorEvent.class);
        expected.addAll(names(Effect.class));
        Set<String> found = found("^\\| `([A-Z][A-Za-z]+)`");
        found.addAll(found("^\\| `[A-Z][A-Za-z]+`, `([A-Z][A-Za-z]+)`"));
        assertThat(found).isEqualTo(expected);
    }

    @Test
    void theClassesThatDecideAreThere() throws ClassNotFoundException {
        List<String> classes =
                found("\\| .* \\| `([A-Z][A-Za-z]+)`").stream()
                        .map(name -> getClass().getPackageName() + "." + name)
                        .toList();
        assertThat(classes).hasSize(8);
        for (String name : classes) {
            assertThat(Class.forName(name).isAnnotationPresent(Policy.class)).as(name).isTrue();
        }
    }
}
