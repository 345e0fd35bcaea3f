// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.node.PayloadStore;
import io.tributary.protocol.message.Run;
import io.tributary.sources.base.staging.Staging;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.flink.util.InstantiationUtil;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.errors.DisconnectException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.protocol.Errors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What Kafka's clients are told is told on task managers alone, and what they answer is heard. */
class SecretsStayOutOfTheGraphTest {

    @TempDir Path temp;

    private static String text(Serializable graph) throws IOException {
        return new String(InstantiationUtil.serializeObject(graph), StandardCharsets.ISO_8859_1);
    }

    @Test
    void secretsAreLookedUpWhereTheyAreUsed() throws IOException {
        Path file = Files.writeString(temp.resolve("secret"), "s3cret");
        KafkaOptions kafka =
                new KafkaOptions("h:1", Map.of("ssl.key.password", "${file:%s}".formatted(file)));
        Staging staging =
                new Staging(new PayloadStore.Place("/tmp/x"), 1, Duration.ZERO, Duration.ZERO);
        List<Serializable> parts =
                List.of(
                        KafkaEventSource.updates(
                                "job",
                                Run.of("x"),
                                kafka,
                                () -> {
                                    throw new AssertionError("not needed");
                                },
                                staging,
                                OffsetsInitializer.latest()),
                        KafkaEventSource.control("job", Run.of("x"), kafka),
                        (Serializable)
                                KafkaSinks.<String>of(
                                        kafka,
                                        new KafkaTopics("job"),
                                        "id",
                                        DeliveryGuarantee.EXACTLY_ONCE,
                                        List.of("t"),
                                        value -> KafkaSinks.json("t", "k", value)));
        for (Serializable part : parts) {
            assertThat(text(part)).contains(file.toString()).doesNotContain("s3cret");
        }
        Files.delete(file);
        assertThat(text(parts.get(0))).as("it is not looked up here").isNotEmpty();
    }

    private static void fails(RuntimeException cause) throws IOException {
        Rejection.watch(
                () -> {
                    throw new KafkaException("somewhere", cause);
                });
    }

    @Test
    void onlyWhatIsRejectedForGoodEndsAJob() {
        for (RuntimeException permanent :
                List.of(
                        new KafkaException(
                                "Unexpected error in InitProducerIdResponse; "
                                        + Errors.INVALID_TRANSACTION_TIMEOUT.message()),
                        new TopicAuthorizationException("no"),
                        new ConfigException("acks", "9", "unknown"))) {
            assertThatThrownBy(() -> fails(permanent))
                    .isInstanceOf(SuppressRestartsException.class)
                    .hasRootCause(permanent);
        }
        for (RuntimeException temporary :
                List.of(
                        new DisconnectException("away"),
                        new ConfigException(
                                "No resolvable bootstrap urls given in bootstrap.servers"),
                        new IllegalArgumentException("${file:x}: it cannot be read"))) {
            assertThatThrownBy(() -> fails(temporary)).isInstanceOf(KafkaException.class);
        }
    }
}
