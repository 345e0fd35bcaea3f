// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A setting's value that is kept elsewhere, so that it is not seen where settings are: {@code
 * ${file:PATH}} stands for a file's text without white space around it, {@code ${env:NAME}} for an
 * environment variable. It is looked up where and when it is used, so a password may be changed
 * while a job runs. Stateless and thread-safe.
 */
public final class Secret {

    private static final Pattern REFERENCE = Pattern.compile("\\$\\{(file|env):([^}]+)}");
    private static final long MAX_BYTES = 1 << 20;

    private Secret() {}

    /**
     * {@code value} with each reference in it replaced by what it stands for.
     *
     * @throws IllegalArgumentException when a file cannot be read, or a variable is not set
     */
    public static String resolve(String value) {
        return REFERENCE.matcher(value).replaceAll(found -> Matcher.quoteReplacement(find(found)));
    }

    private static String find(java.util.regex.MatchResult reference) {
        String name = reference.group(2);
        return reference.group(1).equals("env") ? variable(name) : text(Path.of(name));
    }

    private static String variable(String name) {
        return Optional.ofNullable(System.getenv(name))
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "${env:%s}: there is no such environment variable on this host"
                                                .formatted(name)));
    }

    private static String text(Path file) {
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw new IllegalArgumentException(
                        "${file:%s}: expected no more than %d bytes".formatted(file, MAX_BYTES));
            }
            return Files.readString(file, StandardCharsets.UTF_8).strip();
        } catch (IOException e) {
            throw new IllegalArgumentException(
                    "${file:%s}: it cannot be read on this host by user %s: %s"
                            .formatted(file, System.getProperty("user.name"), e),
                    e);
        }
    }
}
