// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.command.UsageException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** Programs of others that limits are measured with. */
final class Tool {

    private Tool() {}

    /**
     * Looks for a program.
     *
     * @param debian Debian's package
     * @throws UsageException where it is missing
     */
    static void require(String name, String debian) {
        String path = System.getenv().getOrDefault("PATH", "") + ":/usr/sbin";
        if (Stream.of(path.split(":")).noneMatch(dir -> Files.isExecutable(Path.of(dir, name)))) {
            throw new UsageException(
                    "'%s', which the limit is measured with, is missing; on Debian: apt-get install %s"
                            .formatted(name, debian));
        }
    }
}
