// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/**
 * The picture of {@code docs/architecture.md} is drawn from the classes' real dependencies. {@code
 * -Dtributary.docs} draws it again.
 */
class ArchitectureDocTest {

    private static final String BEGIN = "<!-- drawn by ArchitectureDocTest -->\n";
    private static final String END = "<!-- end -->\n";

    /** The module of each package below {@code io.tributary}, the lowest first. */
    private static final Map<String, String> MODULES = new LinkedHashMap<>();

    static {
        for (String name :
                new String[] {
                    "protocol", "transport", "memory", "node", "datapath", "sources", "operators"
                }) {
            MODULES.put(name, name);
        }
        MODULES.put("shm", "shm-connector");
        MODULES.put("trainer", "trainer-client");
        MODULES.put("job", "flink-job");
        MODULES.put("testbed", "testbed");
        MODULES.put("cli", "cli");
    }

    private final Map<String, Set<String>> uses = new TreeMap<>();
    private final Map<String, Set<String>> packages = new TreeMap<>();

    private static String module(JavaClass type) {
        String[] parts = type.getPackageName().split("\\.");
        boolean ours = parts.length > 2 && parts[0].equals("io") && parts[1].equals("tributary");
        return ours ? MODULES.getOrDefault(parts[2], "") : "";
    }

    private void read() {
        for (JavaClass type :
                new ClassFileImporter()
                        .withImportOption(new MainClasses())
                        .importPackages("io.tributary")) {
            String module = module(type);
            if (module.isEmpty()) {
                continue;
            }
            String[] parts = type.getPackageName().split("\\.", 4);
            Set<String> all = packages.computeIfAbsent(module, m -> new TreeSet<>());
            if (parts.length > 3) {
                all.add(parts[3]);
            }
            type.getDirectDependenciesFromSelf().stream()
                    .map(dependency -> module(dependency.getTargetClass()))
                    .filter(other -> !other.isEmpty() && !other.equals(module))
                    .forEach(uses.computeIfAbsent(module, m -> new TreeSet<>())::add);
        }
    }

    /** Whether one module reaches another over a third one, so that no arrow is needed. */
    private boolean indirect(String from, String to) {
        return uses.getOrDefault(from, Set.of()).stream()
                .filter(between -> !between.equals(to))
                .anyMatch(between -> reaches(between, to));
    }

    private boolean reaches(String from, String to) {
        Set<String> direct = uses.getOrDefault(from, Set.of());
        return direct.contains(to) || direct.stream().anyMatch(next -> reaches(next, to));
    }

    private String picture() {
        read();
        StringBuilder drawn = new StringBuilder("```mermaid\nflowchart BT\n");
        for (String from : MODULES.values()) {
            for (String to : uses.getOrDefault(from, Set.of())) {
                if (!indirect(from, to)) {
                    drawn.append("  %s --> %s%n".formatted(from, to));
                }
            }
        }
        drawn.append("```\n\n| module | packages | uses |\n| --- | --- | --- |\n");
        for (String module : MODULES.values()) {
            drawn.append(
                    "| `%s` | %s | %s |%n"
                            .formatted(
                                    module,
                                    String.join(", ", packages.get(module)),
                                    String.join(", ", uses.getOrDefault(module, Set.of()))));
        }
        return drawn.toString();
    }

    @Test
    void thePictureIsFresh() throws Exception {
        Path file = Path.of(System.getProperty("tributary.home"), "docs/architecture.md");
        String page = Files.readString(file);
        int begin = page.indexOf(BEGIN) + BEGIN.length();
        String fresh = page.substring(0, begin) + picture() + page.substring(page.indexOf(END));
        if (System.getProperty("tributary.docs") != null) {
            Files.writeString(file, fresh);
        }
        assertThat(file)
                .as(
                        "mvn -pl cli -am test -Dtest=ArchitectureDocTest -Dtributary.docs -Dsurefire.failIfNoSpecifiedTests=false")
                .hasContent(fresh);
    }
}
