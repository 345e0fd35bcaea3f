// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import io.tributary.job.config.JobModel;
import io.tributary.job.config.JobSpec;
import io.tributary.job.testutils.SmallModel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What Flink says of a job that waits for slots under its adaptive scheduler, which is hard to hold
 * a cluster in. ClusterITCase has the jobs that run.
 */
class SubmissionTest {

    private static final String OVERVIEW =
            """
            {"jobs":[{"jid":"f1","name":"several","state":"CREATED"},
                     {"jid":"f2","name":"over","state":"FINISHED"}]}
            """;

    @TempDir Path temp;

    private HttpServer flink;

    @BeforeEach
    void start() throws IOException {
        flink = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        answer("/jobs/overview", OVERVIEW);
        answer("/jobs/f1/config", "{\"execution-config\":{\"user-config\":{}}}");
        flink.start();
    }

    @AfterEach
    void stop() {
        flink.stop(0);
    }

    private void answer(String path, String json) {
        byte[] bytes = json.getBytes(StandardCharsets.UTF_8);
        flink.createContext(
                path,
                exchange -> {
                    exchange.sendResponseHeaders(200, bytes.length);
                    exchange.getResponseBody().write(bytes);
                    exchange.close();
                });
    }

    private Path job(String name) throws Exception {
        SmallModel.write(temp.resolve("model-0.safetensors"), 0);
        Files.writeString(
                temp.resolve("schema.json"),
                """
                {"roles":[
                  {"name":"trainer","isDataConsumer":true,"groupAssociation":[{"low":"us"}]},
                  {"name":"top","groupAssociation":[{"low":"us"}]}],
                 "channels":[{"name":"low","pair":["trainer","top"],"groupBy":{"value":["us"]}}]}
                """);
        return Files.writeString(
                temp.resolve("job.yaml"),
                """
                job.name: %s
                topology: schema.json
                rounds: {count: 1, minimum-trainers: 1}
                model: {initial: model-0.safetensors, directory: models}
                transports: ["mqtt://localhost:1"]
                checkpoints: {interval: 1 s, directory: checkpoints}
                """
                        .formatted(name));
    }

    private void submit(String name) throws Exception {
        Path file = job(name);
        String address = "127.0.0.1:" + flink.getAddress().getPort();
        new Submission(new FlinkRest(address), temp.resolve("no.jar"))
                .run(JobSpec.read(file), file, Optional.empty());
    }

    @Test
    void modelsThatAreThereAlreadyAreSeen() throws Exception {
        JobModel model = JobSpec.read(job("again")).jobModels().get(0);
        assertThat(model.lastThere()).isEmpty();
        Path models = Files.createDirectory(temp.resolve("models"));
        for (String file : new String[] {"model-0.safetensors", "model-x.json", "model-9"}) {
            Files.createFile(models.resolve(file));
        }
        assertThat(model.lastThere()).isEmpty();
        Files.createFile(models.resolve("model-2.json"));
        Files.createFile(models.resolve("model-10.json"));
        assertThat(model.lastThere()).hasValue(10);
    }

    @Test
    void aNameThatAModelOfAWaitingJobMayHaveIsRejected() {
        assertThatThrownBy(() -> submit("several.eu"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(
                        "a job named 'several.eu' runs already (f1, CREATED, a model of 'several'); topics and regions belong to a name, so cancel it or choose another");
        assertThatThrownBy(() -> submit("several"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("a job named 'several' runs already (f1, CREATED); ");
    }

    /** These come as far as the upload, for which there is no jar. */
    @Test
    void otherNamesAreFree() {
        for (String name : new String[] {"several-eu", "severa", "over", "over.eu"}) {
            assertThatThrownBy(() -> submit(name)).isInstanceOf(IOException.class);
        }
    }
}
