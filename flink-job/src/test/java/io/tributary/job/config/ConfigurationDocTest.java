// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.ConfigOption;
import org.junit.jupiter.api.Test;

/** {@code docs/configuration.md} says what the options say. {@code -Dtributary.docs} writes it. */
class ConfigurationDocTest {

    private static final String HEAD =
            """
            # The keys of `job.yaml`

            `./tributary submit --config job.yaml` reads these keys. They can be nested, or written with dots. An unknown key
            or a value of the wrong type is an error that names the line. [operations.md](operations.md) has a complete file.
            `ConfigurationDocTest` makes this page from `JobOptions`.

            | key | type | default | |
            | --- | --- | --- | --- |
            """;

    private static String page() {
        StringBuilder page = new StringBuilder(HEAD);
        for (ConfigOption<?> option : JobOptions.all()) {
            String shown = OptionType.shown(option.defaultValue());
            page.append(
                    "| `%s` | %s | %s | %s |%n"
                            .formatted(
                                    option.key(),
                                    OptionType.of(option).name(),
                                    shown.isEmpty() ? "" : "`" + shown + "`",
                                    OptionType.description(option)));
        }
        return page.toString();
    }

    @Test
    void thePageIsFresh() throws Exception {
        Path file = Path.of(System.getProperty("tributary.home"), "docs/configuration.md");
        if (System.getProperty("tributary.docs") != null) {
            Files.writeString(file, page());
        }
        assertThat(file)
                .as(
                        "mvn -pl flink-job -am test -Dtest=ConfigurationDocTest -Dsurefire.failIfNoSpecifiedTests=false -Dtributary.docs")
                .hasContent(page());
    }
}
