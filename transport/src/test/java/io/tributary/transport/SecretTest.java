// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.transport.kafka.KafkaOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SecretTest {

    @TempDir Path temp;

    @Test
    void referencesAreReplacedWhenTheyAreUsed() throws IOException {
        Path file = Files.writeString(temp.resolve("password"), "  a$1\\b \n");
        assertThat(Secret.resolve("x${file:%s}y".formatted(file))).isEqualTo("xa$1\\by");
        assertThat(Secret.resolve("${env:PATH}")).isEqualTo(System.getenv("PATH"));
        assertThat(Secret.resolve("plain $ {file}")).isEqualTo("plain $ {file}");
        KafkaOptions kafka =
                new KafkaOptions("h:1", Map.of("sasl.jaas.config", "${file:%s}".formatted(file)));
        assertThat(kafka.client()).containsEntry("sasl.jaas.config", "a$1\\b");
        Files.writeString(file, "another");
        assertThat(kafka.client()).containsEntry("sasl.jaas.config", "another");
        assertThat(kafka.properties()).containsEntry("sasl.jaas.config", "${file:" + file + "}");
    }

    @Test
    void whatIsMissingIsNamed() {
        assertThatThrownBy(() -> Secret.resolve("${file:/nowhere/at-all}"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("/nowhere/at-all")
                .hasMessageContaining("user " + System.getProperty("user.name"));
        assertThatThrownBy(() -> Secret.resolve("${env:NO_SUCH_THING}"))
                .hasMessageContaining("NO_SUCH_THING");
    }
}
