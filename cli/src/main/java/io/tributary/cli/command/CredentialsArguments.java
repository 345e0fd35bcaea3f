// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.trainer.Credentials;
import java.util.Map;
import picocli.CommandLine.Option;

/** What a trainer shows to a broker, on the command line. */
final class CredentialsArguments {

    @Option(
            names = "--user",
            paramLabel = "NAME",
            defaultValue = "",
            description = "With MQTT: user name.")
    private String user;

    @Option(
            names = "--password",
            paramLabel = "PASSWORD",
            defaultValue = "",
            interactive = true,
            arity = "0..1",
            description = "With MQTT: password; asked for when none is given behind it.")
    private String password;

    @Option(
            names = "--ca-file",
            paramLabel = "PEM",
            defaultValue = "",
            description = "With MQTT over TLS: certificates to trust.")
    private String caFile;

    @Option(
            names = "--certificate",
            paramLabel = "PEM",
            defaultValue = "",
            description = "With MQTT over TLS: client certificate.")
    private String certificate;

    @Option(
            names = "--key",
            paramLabel = "PEM",
            defaultValue = "",
            description = "With MQTT over TLS: key of the client certificate.")
    private String key;

    @Option(
            names = "--kafka-property",
            paramLabel = "KEY=VALUE",
            description =
                    "With Kafka: handed to its clients as it is, for SASL and TLS; repeatable.")
    private Map<String, String> kafkaProperties = Map.of();

    Credentials credentials() {
        return new Credentials(user, password, caFile, certificate, key, kafkaProperties);
    }
}
