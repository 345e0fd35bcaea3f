// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.transport.mqtt.BrokerOptions;
import java.util.Optional;
import picocli.CommandLine.Option;

/** How to reach a broker, on the command line. */
final class BrokerArguments {

    @Option(
            names = "--broker",
            paramLabel = "URL",
            description = "tcp://HOST:PORT, or ssl://HOST:PORT for TLS.")
    private Optional<String> broker;

    @Option(names = "--user", paramLabel = "NAME", defaultValue = "", description = "User name.")
    private String user;

    @Option(
            names = "--password",
            paramLabel = "PASSWORD",
            defaultValue = "",
            interactive = true,
            arity = "0..1",
            description = "Password; asked for when none is given behind it.")
    private String password;

    @Option(
            names = "--ca-file",
            paramLabel = "PEM",
            defaultValue = "",
            description = "Certificates to trust.")
    private String caFile;

    @Option(
            names = "--certificate",
            paramLabel = "PEM",
            defaultValue = "",
            description = "Client certificate.")
    private String certificate;

    @Option(
            names = "--key",
            paramLabel = "PEM",
            defaultValue = "",
            description = "Key of the client certificate.")
    private String key;

    BrokerOptions options() {
        String url =
                broker.orElseThrow(
                        () ->
                                new UsageException(
                                        "--broker: expected tcp://HOST:PORT or ssl://HOST:PORT"));
        if (url.startsWith("tcp:") && !(caFile + certificate + key).isEmpty()) {
            throw new UsageException(
                    "--broker %s: certificates need TLS; use ssl://HOST:PORT".formatted(url));
        }
        return BrokerOptions.of(url)
                .withPassword(user, password)
                .withCaFile(caFile)
                .withCertificate(certificate, key);
    }
}
