// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.cli.command.UsageException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** Programs of others that limits are measured with. */
final class Tool {

    private Tool() {}

    /**
     * Looks for a program, also where Debian keeps servers.
     *
     * @param debian Debian's package
     * @throws UsageException where it is missing
     */
    static Path find(String name, String debian) {
        String path = System.getenv().getOrDefault("PATH", "") + ":/usr/sbin";
        return Stream.of(path.split(":"))
                .map(directory -> Path.of(directory, name))
                .filter(Files::isExecutable)
                .findFirst()
                .orElseThrow(
                        () ->
                                new UsageException(
                                        "'%s', which the limit is measured with, is missing; on Debian: apt-get install %s"
                                                .formatted(name, debian)));
    }
}
