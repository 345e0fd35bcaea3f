// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Links of the documentation lead to a file that exists, and to a heading in it. */
class DocLinksTest {

    private static final Path ROOT = Path.of("").toAbsolutePath().getParent();
    private static final Pattern LINK =
            Pattern.compile("\\]\\((?!https?:)([^)#]*)(?:#([^)]*))?\\)");
    private static final Pattern CODE = Pattern.compile("(?s)```.*?```");

    @Test
    void everyLinkLeadsSomewhere() throws IOException {
        List<Path> pages = pages();
        assertThat(pages).contains(ROOT.resolve("README.md"), ROOT.resolve("docs/hosts.md"));
        assertThat(pages).allSatisfy(DocLinksTest::check);
    }

    /** Classes of others that a page names. */
    private static final Set<String> OTHERS =
            Set.of(
                    "AbortIncompleteMultipartUpload",
                    "ClientApp",
                    "ContainerCreating",
                    "CosineAnnealingLR",
                    "CountingInputStream",
                    "DataLoader",
                    "FlinkDeployment",
                    "ImportError",
                    "LimitedProvider",
                    "NumPyClient",
                    "SGDClassifier",
                    "StepLR",
                    "SuppressRestartsException",
                    "TypeError",
                    "ValueError");

    private static final Pattern CLASS =
            Pattern.compile("`([A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+)(?:\\.\\w+)*(?:\\(\\))?`");
    private static final Pattern DECLARED =
            Pattern.compile("\\b(?:class|record|interface|enum) (\\w+)");

    /** A class that has another name now is found under neither. */
    @Test
    void everyClassThatAPageNamesIsThere() throws IOException {
        Set<String> classes = new HashSet<>(OTHERS);
        try (Stream<Path> files = Files.walk(ROOT)) {
            for (Path file :
                    files.filter(f -> f.toString().matches(".*\\.(java|py)"))
                            .filter(f -> f.toString().contains("/src/"))
                            .filter(f -> !f.toString().contains("/.venv"))
                            .toList()) {
                DECLARED.matcher(Files.readString(file))
                        .results()
                        .forEach(found -> classes.add(found.group(1)));
            }
        }
        for (Path page : pages()) {
            CLASS.matcher(CODE.matcher(Files.readString(page)).replaceAll(""))
                    .results()
                    .forEach(
                            found ->
                                    assertThat(classes)
                                            .as("%s in %s", found.group(), page)
                                            .contains(found.group(1)));
        }
    }

    private static List<Path> pages() throws IOException {
        try (Stream<Path> top = Files.list(ROOT);
                Stream<Path> docs = Files.walk(ROOT.resolve("docs"))) {
            return Stream.concat(top, docs).filter(p -> p.toString().endsWith(".md")).toList();
        }
    }

    private static void check(Path page) throws IOException {
        String text = CODE.matcher(Files.readString(page)).replaceAll("");
        LINK.matcher(text)
                .results()
                .forEach(
                        link -> {
                            Path target =
                                    link.group(1).isEmpty()
                                            ? page
                                            : page.resolveSibling(link.group(1)).normalize();
                            assertThat(target).as("%s in %s", link.group(), page).exists();
                            if (link.group(2) != null) {
                                assertThat(anchors(target))
                                        .as("%s in %s", link.group(), page)
                                        .contains(link.group(2));
                            }
                        });
    }

    /** As they are made of headings: lower case, hyphens for spaces, no punctuation. */
    private static List<String> anchors(Path page) {
        try (Stream<String> lines = Files.lines(page)) {
            return lines.filter(line -> line.matches("#+ .*"))
                    .map(line -> line.replaceFirst("#+ ", "").toLowerCase(Locale.ROOT))
                    .map(line -> line.replaceAll("[^\\p{L}\\p{N} _-]", "").replace(' ', '-'))
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
