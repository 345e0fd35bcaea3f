// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.testbed.transport.TransportKind;
import picocli.CommandLine.Option;

/** A transport that is started here, on the command line. */
final class TransportKindArguments {

    @Option(
            names = "--transport",
            paramLabel = "mqtt|kafka|shm",
            defaultValue = "mqtt",
            converter = TransportKindConverter.class,
            description = "How updates travel. Default: ${DEFAULT-VALUE}.")
    private TransportKind transport;

    TransportKind kind() {
        return transport;
    }
}
