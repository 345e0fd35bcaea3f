// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import picocli.CommandLine.Option;

/** How many trainers are in Python, where a command starts trainers. */
final class PythonTrainersArguments {

    @Option(
            names = "--python-trainers",
            paramLabel = "N",
            defaultValue = "0",
            description =
                    "Trainers in Python to start beside them, in a virtual environment that is made. Default: ${DEFAULT-VALUE}.")
    private int count;

    int count() {
        if (count < 0) {
            throw new UsageException("--python-trainers %d: expected 0 or more".formatted(count));
        }
        return count;
    }
}
