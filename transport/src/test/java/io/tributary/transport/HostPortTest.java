// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.mqtt.BrokerOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HostPortTest {

    @ParameterizedTest
    @CsvSource({
        "localhost:1883, localhost, 1883",
        "[::1]:1883, ::1, 1883",
        "[2001:db8::7]:65535, 2001:db8::7, 65535",
        "[fe80::1%eth0]:1, fe80::1%eth0, 1",
        "[::ffff:10.0.0.1]:9092, ::ffff:10.0.0.1, 9092",
        "10.0.0.1:80, 10.0.0.1, 80",
        "a-b.example:8, a-b.example, 8"
    })
    void addressesAreReadAndWrittenAlike(String text, String host, int port) {
        HostPort read = HostPort.parse(text);
        assertThat(read).isEqualTo(new HostPort(host, port));
        assertThat(read).hasToString(text);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "host",
                "host:",
                ":1",
                "host:0",
                "host:65536",
                "host:99999999999",
                "::1:1883",
                "[::1]",
                "[host]:1",
                "host:1x",
                "user@host:1",
                "host:1/path",
                "a b:1",
                "[::1:1883"
            })
    void whatIsNoneIsRejected(String text) {
        assertThatThrownBy(() -> HostPort.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("expected HOST:PORT");
        assertThatThrownBy(() -> BrokerOptions.of("mqtt://" + text))
                .hasMessageStartingWith("broker '");
        assertThatThrownBy(() -> KafkaOptions.of("good:1," + text))
                .hasMessageStartingWith("Kafka's bootstrap servers '");
    }

    @Test
    void aPortMayBeLeftOutWhereThereIsADefault() {
        assertThat(HostPort.parse("[::1]", 7)).isEqualTo(new HostPort("::1", 7));
        assertThat(HostPort.parse("host", 7)).isEqualTo(new HostPort("host", 7));
        assertThat(HostPort.parseListening("host:0", 7)).isEqualTo(new HostPort("host", 0));
        assertThatThrownBy(() -> HostPort.parse("host:0", 7)).hasMessageContaining("HOST[:PORT]");
    }

    @Test
    void webSocketsMayHaveAPathAndOthersNotOne() {
        assertThat(BrokerOptions.of("ws://[::1]:8080/mqtt").tls()).isFalse();
        assertThat(BrokerOptions.of("wss://broker.example:443/mqtt").tls()).isTrue();
        assertThat(BrokerOptions.of("mqtts://broker.example:8883").tls()).isTrue();
        assertThatThrownBy(() -> BrokerOptions.of("mqtt://broker.example:1883/mqtt"))
                .hasMessageContaining("expected HOST:PORT");
        assertThatThrownBy(() -> BrokerOptions.of("tcp://broker.example:1883"))
                .hasMessage(
                        "broker 'tcp://broker.example:1883': expected mqtt://HOST:PORT, mqtts://HOST:PORT, ws://HOST:PORT/PATH or wss://HOST:PORT/PATH");
    }

    @Test
    void brokersAndKafkaTakeIpv6() {
        assertThat(BrokerOptions.of("mqtts://[::1]:8883").url()).isEqualTo("mqtts://[::1]:8883");
        assertThat(KafkaOptions.of("[::1]:9092,[::2]:9092").client())
                .containsEntry("bootstrap.servers", "[::1]:9092,[::2]:9092");
    }
}
