// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import java.util.Properties;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class KafkaOptionsTest {

    @ParameterizedTest
    @CsvSource({
        "linger.ms, 20",
        "delivery.timeout.ms, 300000",
        "max.request.size, 4194304",
        "batch.size, 1000",
        "transaction.timeout.ms, 60000",
        "reconnect.backoff.max.ms, 7",
        "fetch.max.bytes, 1000000",
        "check.crcs, true"
    })
    void whatIsTheUsersToChooseWins(String key, String value) {
        KafkaOptions options = new KafkaOptions("h:1", Map.of(key, value));
        assertThat(
                        new Properties[] {
                            options.client(),
                            options.consumer(),
                            options.producer(),
                            options.producerLimits()
                        })
                .allSatisfy(all -> assertThat(all).containsEntry(key, value));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "bootstrap.servers",
                "isolation.level",
                "enable.auto.commit",
                "auto.offset.reset",
                "allow.auto.create.topics",
                "enable.idempotence",
                "acks",
                "key.serializer",
                "value.deserializer",
                "transactional.id"
            })
    void whatIsNotIsRejectedByName(String key) {
        assertThatThrownBy(() -> new KafkaOptions("h:1", Map.of(key, "x")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("'" + key + "'");
    }

    /** Of all that is set here, nothing replaces what the user has given. */
    @Test
    void noOtherSettingIsOverwritten() {
        KafkaOptions plain = KafkaOptions.of("h:1");
        Properties ours = new Properties();
        ours.putAll(plain.consumer());
        ours.putAll(plain.producer());
        for (String key : ours.stringPropertyNames()) {
            try {
                KafkaOptions options = new KafkaOptions("h:1", Map.of(key, "99999999"));
                assertThat(options.consumer().getProperty(key, "99999999")).isEqualTo("99999999");
                assertThat(options.producer().getProperty(key, "99999999")).isEqualTo("99999999");
            } catch (IllegalArgumentException rejected) {
                assertThat(rejected).hasMessageContaining("'" + key + "'");
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"1000", "-1", "many"})
    void aRequestMustHoldAChunk(String size) {
        assertThatThrownBy(() -> new KafkaOptions("h:1", Map.of("max.request.size", size)))
                .hasMessageContaining("'max.request.size' is '" + size + "', expected 2097152");
    }
}
