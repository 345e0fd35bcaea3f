// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Where the parts of this build are. */
public final class Distribution {

    /** Modules that are in the job's jar, or above it. */
    private static final String MODULES =
            "(operators|sources|shm-connector|trainer-client|flink-job|testbed|cli|bench)";

    /** What the job's jar holds, or nobody needs on a cluster. */
    private static final Pattern NOT_ON_CLUSTER =
            Pattern.compile(
                    ".*/(tributary-(cli|bench)\\.jar|"
                            + MODULES
                            + "-[^/]*|(hivemq|picocli|flink-connector-kafka|flink-test-utils|kafka_|kafka-tools|kafka-server|kafka-group|kafka-storage|kafka-raft|scala-|nd4j)[^/]*|"
                            + MODULES
                            + "/target/[^/]*)");

    private Distribution() {}

    /** The jar that Flink runs, of a release or of a checkout. */
    public static Path jobJar() {
        Path home = Path.of(System.getProperty("tributary.home", ".")).toAbsolutePath();
        Path released = home.resolve("flink/tributary-flink-job.jar");
        if (Files.exists(released)) {
            return released;
        }
        Path built = home.resolve("flink-job/target/tributary-flink-job.jar");
        if (!Files.exists(built)) {
            throw new IllegalStateException(built + " is missing; build with 'mvn package'");
        }
        return built;
    }

    /** Flink, and what belongs into its {@code lib/} directory, on this process's class path. */
    public static String clusterClasspath() {
        return Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(entry -> !NOT_ON_CLUSTER.matcher(entry).matches())
                .collect(Collectors.joining(File.pathSeparator));
    }
}
