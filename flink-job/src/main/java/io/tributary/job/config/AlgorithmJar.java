// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.operators.optimizer.Algorithm;
import java.io.UncheckedIOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceConfigurationError;

/** Reads which algorithm a job has, one of Tributary's or of a jar that it names. */
final class AlgorithmJar {

    private AlgorithmJar() {}

    /** Where a file's jar is, if it names one. */
    static Optional<Path> path(JobYaml yaml, Path directory) {
        return yaml.find(JobOptions.ALGORITHM_JAR)
                .map(jar -> directory.resolve(jar).toAbsolutePath().normalize());
    }

    /**
     * The algorithm.
     *
     * @param jar where others are looked for; where there is no such file, they have to be in the
     *     job's own jar, into which 'submit' puts them
     */
    static Algorithm read(JobYaml yaml, Optional<Path> jar) {
        Map<String, String> parameters = yaml.get(JobOptions.ALGORITHM_PARAMETERS);
        // Like the values of other options.
        String name = yaml.get(JobOptions.ALGORITHM).toLowerCase(Locale.ROOT);
        ClassLoader classes = classes(jar);
        boolean known;
        try {
            known = Algorithm.names(classes).contains(name);
        } catch (ServiceConfigurationError | LinkageError e) {
            throw yaml.wrong(
                    JobOptions.ALGORITHM_JAR,
                    "whose algorithms cannot be loaded: " + e.getMessage());
        }
        if (!known && jar.isPresent() && !Files.isRegularFile(jar.get())) {
            throw yaml.wrong(JobOptions.ALGORITHM_JAR, "but there is no file " + jar.get());
        }
        try {
            return Algorithm.named(name, parameters, classes);
        } catch (IllegalArgumentException e) {
            throw parameters.isEmpty() || !known
                    ? yaml.wrong(JobOptions.ALGORITHM, e.getMessage())
                    : yaml.wrongMap(JobOptions.ALGORITHM_PARAMETERS, e.getMessage());
        }
    }

    private static ClassLoader classes(Optional<Path> jar) {
        ClassLoader own = AlgorithmJar.class.getClassLoader();
        return jar.filter(Files::isRegularFile)
                .<ClassLoader>map(file -> new URLClassLoader(new URL[] {url(file)}, own))
                .orElse(own);
    }

    private static URL url(Path file) {
        try {
            return file.toUri().toURL();
        } catch (MalformedURLException e) {
            throw new UncheckedIOException(e);
        }
    }
}
