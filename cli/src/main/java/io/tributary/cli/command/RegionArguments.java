// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.memory.region.TrustedDirectory;
import java.nio.file.Path;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;

/** Where regions are, on the command line. */
final class RegionArguments {

    /** The region directory unless another is given. */
    static final String DIRECTORY = TrustedDirectory.DEFAULT;

    /** Puts the user's id in its place. */
    static final class Directory implements ITypeConverter<Path> {

        @Override
        public Path convert(String setting) {
            return TrustedDirectory.of(setting);
        }
    }

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            defaultValue = DIRECTORY,
            converter = Directory.class,
            description =
                    "The region directory; {uid} is this user's id. Default: ${DEFAULT-VALUE}.")
    private Path directory;

    Path directory() {
        return directory;
    }
}
