// SPDX-License-Identifier: Apache-2.0

package io.tributary.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JobEntrypointTest {

    private static Configuration from(String path) {
        return new Configuration().set(StateRecoveryOptions.SAVEPOINT_PATH, path);
    }

    /** Which Flink itself finds; the job cannot look into it before. */
    @Test
    void theLastStateOfFlinksOperatorIsNoPath() {
        assertThat(JobEntrypoint.savepoint(from("KUBERNETES_OPERATOR_LAST_STATE"))).isEmpty();
        assertThat(JobEntrypoint.savepoint(from("/data/savepoints/savepoint-1")))
                .hasValue("/data/savepoints/savepoint-1");
        assertThat(JobEntrypoint.savepoint(new Configuration())).isEmpty();
    }

    /** In an application cluster it is in usrlib/, and not where the job's file names it. */
    @Test
    void aJarThatIsHereIsShippedBesideOthers(@TempDir Path temp) throws IOException {
        Path jar = Files.createFile(temp.resolve("own.jar"));
        Configuration settings =
                new Configuration().set(PipelineOptions.JARS, List.of("file:/job.jar"));
        Configuration wanted = new Configuration();
        JobEntrypoint.ship(Optional.of(temp.resolve("gone.jar")), settings, wanted);
        JobEntrypoint.ship(Optional.empty(), settings, wanted);
        assertThat(wanted.getOptional(PipelineOptions.JARS)).isEmpty();
        JobEntrypoint.ship(Optional.of(jar), settings, wanted);
        assertThat(wanted.get(PipelineOptions.JARS))
                .containsExactly("file:/job.jar", jar.toUri().toString());
    }
}
