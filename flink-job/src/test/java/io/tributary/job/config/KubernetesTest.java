// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.tributary.job.JobEntrypoint;
import io.tributary.job.testutils.SmallModel;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.HeartbeatManagerOptions;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.kubernetes.configuration.KubernetesConfigOptions;
import org.apache.flink.kubernetes.operator.api.FlinkDeployment;
import org.apache.flink.kubernetes.operator.api.spec.JobState;
import org.apache.flink.kubernetes.operator.api.spec.UpgradeMode;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What {@code docker/kubernetes} says to Flink and to its operator. {@code docker/test} compares
 * all of it with Kubernetes' schemas.
 */
class KubernetesTest {

    private static final Path HOME = Path.of(System.getProperty("tributary.home"));
    private static final Path FILES = HOME.resolve("docker/kubernetes");
    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());

    private static final List<Class<?>> OPTIONS =
            List.of(
                    CoreOptions.class,
                    JobManagerOptions.class,
                    TaskManagerOptions.class,
                    HighAvailabilityOptions.class,
                    CheckpointingOptions.class,
                    HeartbeatManagerOptions.class,
                    KubernetesConfigOptions.class);

    @TempDir Path temp;

    private static ObjectNode manifest() throws IOException {
        try (var documents =
                YAML.readerFor(JsonNode.class)
                        .readValues(FILES.resolve("base/flink.yaml").toFile())) {
            return (ObjectNode) documents.next();
        }
    }

    private static FlinkDeployment deployment(ObjectNode manifest) throws IOException {
        // The newest of the operator's classes on Maven Central know Flink up to 1.20.
        assertThat(((ObjectNode) manifest.get("spec")).put("flinkVersion", "v1_20")).isNotNull();
        return YAML.treeToValue(manifest, FlinkDeployment.class);
    }

    private static Map<String, ConfigOption<?>> options() throws IllegalAccessException {
        Map<String, ConfigOption<?>> all = new HashMap<>();
        for (Class<?> options : OPTIONS) {
            for (Field field : options.getFields()) {
                if (Modifier.isStatic(field.getModifiers())
                        && field.getType() == ConfigOption.class) {
                    ConfigOption<?> option = (ConfigOption<?>) field.get(null);
                    all.put(option.key(), option);
                }
            }
        }
        return all;
    }

    @Test
    void theOperatorReadsTheDeployment() throws Exception {
        assertThat(manifest().at("/spec/flinkVersion").asText())
                .isEqualTo(
                        "v"
                                + EnvironmentInformation.getVersion()
                                        .replaceFirst("^(\\d+)\\.(\\d+).*", "$1_$2"));
        FlinkDeployment deployment = deployment(manifest());
        assertThat(deployment.getSpec().getJob().getUpgradeMode()).isEqualTo(UpgradeMode.SAVEPOINT);
        assertThat(deployment.getSpec().getJob().getState()).isEqualTo(JobState.RUNNING);
        assertThat(deployment.getSpec().getJob().getEntryClass())
                .isEqualTo(JobEntrypoint.class.getName());
        // Without it the operator rejects upgrades by savepoint.
        assertThat(deployment.getSpec().getFlinkConfiguration())
                .containsKey(CheckpointingOptions.CHECKPOINTS_DIRECTORY.key());
    }

    /** Metrics' reporters have keys of their own; the compose file's are tried in containers. */
    @Test
    void eachOptionIsOneOfFlinks() throws Exception {
        String compose = Files.readString(HOME.resolve("docker/compose.yaml"));
        Map<String, String> settings = deployment(manifest()).getSpec().getFlinkConfiguration();
        Map<String, ConfigOption<?>> options = options();
        for (String key : settings.keySet()) {
            if (key.startsWith("kubernetes.operator.")) {
                // The operator's own.
                assertThat(key).isEqualTo("kubernetes.operator.pod-template.merge-arrays-by-name");
                continue;
            }
            if (key.startsWith("metrics.reporter.")) {
                assertThat(compose).contains(key + ": " + settings.get(key) + "\n");
                continue;
            }
            assertThat(options).containsKey(key);
            assertThat(Configuration.fromMap(settings).get(options.get(key))).isNotNull();
        }
    }

    @Test
    void whatTheJobNeedsOfFlinkIsThere() throws Exception {
        JsonNode settings = manifest().at("/spec/flinkConfiguration");
        JsonNode images = YAML.readTree(HOME.resolve("docker/config/flink.yaml").toFile());
        images.fieldNames()
                .forEachRemaining(key -> assertThat(settings.get(key)).isEqualTo(images.get(key)));
        String page = Files.readString(HOME.resolve("docs/operations.md"));
        for (String key :
                List.of("classloader.parent-first-patterns.additional", "env.java.opts.all")) {
            String documented =
                    page.lines()
                            .filter(line -> line.startsWith(key + ": "))
                            .map(line -> line.substring(key.length() + 2))
                            .findFirst()
                            .orElseThrow();
            assertThat(settings.get(key).asText()).startsWith(documented);
        }
    }

    @Test
    void bothJobsAreRight() throws Exception {
        for (String overlay : List.of("base", "production")) {
            Path job = Files.createDirectories(temp.resolve(overlay)).resolve("job.yaml");
            String text = Files.readString(FILES.resolve(overlay).resolve("job.yaml"));
            Files.writeString(job, text.replace("/data/", job.getParent() + "/"));
            SmallModel.write(job.resolveSibling("model-0.safetensors"), 1);
            Files.copy(FILES.resolve("base/schema.json"), job.resolveSibling("schema.json"));
            JobSpec spec = JobSpec.read(job);
            assertThat(spec.name()).isEqualTo("digits");
            // The deployment's counts.
            assertThat(spec.parallelism()).isEmpty();
        }
        for (String copy :
                List.of("docker/kubernetes/base/schema.json", "docker/config/schema.json")) {
            assertThat(HOME.resolve(copy))
                    .hasSameBinaryContentAs(HOME.resolve("docs/examples/schema.json"));
        }
    }
}
