// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.rule.ParameterException;
import java.io.UncheckedIOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.Set;

/**
 * Which algorithm a job has.
 *
 * @param algorithm one of Tributary's, or of a jar
 * @param jar the jar; empty where it is one of Tributary's
 */
record AlgorithmJar(Algorithm algorithm, Optional<Path> jar) {

    /**
     * Reads it. Where the jar is not here, its algorithms have to be in the job's own jar, into
     * which 'submit' puts them.
     *
     * @param directory what paths are relative to
     */
    static AlgorithmJar read(JobYaml yaml, Path directory) {
        // Like the values of other options.
        String name = yaml.get(JobOptions.ALGORITHM).toLowerCase(Locale.ROOT);
        Optional<Path> jar =
                yaml.find(JobOptions.ALGORITHM_JAR)
                        .map(file -> directory.resolve(file).toAbsolutePath().normalize());
        if (jar.isPresent() && Algorithm.names().contains(name)) {
            throw yaml.wrong(
                    JobOptions.ALGORITHM_JAR,
                    "but algorithm '%s' is Tributary's own; leave one of them out".formatted(name));
        }
        boolean here = jar.filter(Files::isRegularFile).isPresent();
        boolean named = false;
        try {
            ClassLoader classes = here ? classes(jar.get()) : AlgorithmJar.class.getClassLoader();
            Set<String> names = Algorithm.names(classes);
            named = names.contains(name);
            if (!named && jar.isPresent() && !here) {
                throw yaml.wrong(JobOptions.ALGORITHM_JAR, "but there is no file " + jar.get());
            }
            if (jar.isPresent() && names.equals(Algorithm.names())) {
                throw yaml.wrong(
                        JobOptions.ALGORITHM_JAR,
                        "which has no META-INF/services/io.tributary.operators.optimizer.AlgorithmProvider");
            }
            return new AlgorithmJar(
                    Algorithm.named(name, yaml.get(JobOptions.ALGORITHM_PARAMETERS), classes), jar);
        } catch (ConfigException e) {
            throw e;
        } catch (ParameterException e) {
            throw yaml.get(JobOptions.ALGORITHM_PARAMETERS).containsKey(e.parameter())
                    ? yaml.wrong(JobOptions.ALGORITHM_PARAMETERS, e.parameter(), e.getMessage())
                    : yaml.wrongMap(JobOptions.ALGORITHM_PARAMETERS, e.getMessage());
        } catch (IllegalArgumentException e) {
            throw named && !yaml.get(JobOptions.ALGORITHM_PARAMETERS).isEmpty()
                    ? yaml.wrongMap(JobOptions.ALGORITHM_PARAMETERS, e.getMessage())
                    : yaml.wrong(JobOptions.ALGORITHM, e.getMessage());
        } catch (ServiceConfigurationError | LinkageError e) {
            throw yaml.wrong(
                    JobOptions.ALGORITHM_JAR,
                    "whose algorithms cannot be loaded: " + e.getMessage());
        }
    }

    /** Classes of a jar; it stays open, since they are loaded when they are needed. */
    private static ClassLoader classes(Path jar) {
        try {
            return new URLClassLoader(
                    new URL[] {jar.toUri().toURL()}, AlgorithmJar.class.getClassLoader());
        } catch (MalformedURLException e) {
            throw new UncheckedIOException(e);
        }
    }
}
