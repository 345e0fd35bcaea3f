// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/** What is trained on, on the command line. */
final class DataArguments {

    @Option(
            names = "--data",
            paramLabel = "DIR",
            description = "MNIST's IDX files; without, digits are drawn.")
    private Optional<Path> data;

    Optional<Path> directory() {
        return data;
    }
}
