// SPDX-License-Identifier: Apache-2.0

package io.tributary.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.job.testutils.Cli;
import io.tributary.protocol.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MainTest {

    @TempDir Path temp;

    private static final String SCHEMA =
            """
            {"roles":[
              {"name":"trainer","isDataConsumer":true,"groupAssociation":[{"wire":"us"}]},
              {"name":"aggregator","replica":2,"groupAssociation":[{"wire":"us"}]}],
             "channels":[{"name":"wire","pair":["trainer","aggregator"],
               "groupBy":{"type":"tag","value":["us"]}}]}
            """;

    @Test
    void planPrintsTheExpandedTasks() throws IOException {
        Path schema = Files.writeString(temp.resolve("schema.json"), SCHEMA);
        Path spec =
                Files.writeString(
                        temp.resolve("dataSpec.json"),
                        "[{\"role\":\"trainer\",\"datasetGroups\":{\"us\":[\"d1\"]}}]");

        Cli cli =
                Cli.run(
                        "plan",
                        "--schema",
                        schema.toString(),
                        "--data-spec",
                        spec.toString(),
                        "--json");

        assertThat(cli.exit()).isZero();
        JsonNode expected =
                Json.tree(
                        ("{'levels':['trainer','aggregator'],'groups':{'wire':['us']},'tasks':["
                                        + "{'role':'aggregator','group':{'wire':'us'}},"
                                        + "{'role':'aggregator','group':{'wire':'us'}},"
                                        + "{'role':'trainer','group':{'wire':'us'},'dataset':'d1'}],"
                                        + "'counts':{'aggregator':2,'trainer':1}}")
                                .replace('\'', '"')
                                .getBytes(StandardCharsets.UTF_8));
        assertThat(Json.tree(cli.out().getBytes(StandardCharsets.UTF_8))).isEqualTo(expected);
        assertThat(Cli.run("plan", "--schema", schema.toString()).out())
                .startsWith("trainer → aggregator")
                .contains("2 × aggregator");
    }

    @Test
    void aMistakeInATopologyIsOneLine() throws IOException {
        Path schema =
                Files.writeString(
                        temp.resolve("schema.json"),
                        SCHEMA.replace("\"wire\":\"us\"", "\"w\":\"us\""));

        Cli cli = Cli.run("plan", "--schema", schema.toString());

        assertThat(cli.exit()).isEqualTo(2);
        assertThat(cli.err())
                .isEqualTo(
                        "tributary: %s#/roles/0/groupAssociation/0/w: found channel 'w';"
                                        .formatted(schema)
                                + " allowed: 'wire'\n");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "nonsense",
                "plan",
                "demo --trainers -1",
                "demo --rounds 0",
                "demo --alpha 0",
                "demo --timing soon",
                "demo --topology 5tier",
                "demo --groups a,,b",
                "demo --data /nowhere",
                "demo --report /nowhere/report.json",
                "demo --out /proc/models",
                "aggregate --out /tmp pom.xml",
                "trainer --job j --group g --broker mqtt.example",
                "aggregate --out x"
            })
    void wrongUsageIsOneLineAndExitCode2(String line) {
        Cli cli = Cli.run(line.split(" "));

        assertThat(cli.exit()).isEqualTo(2);
        assertThat(cli.err().lines()).singleElement().asString().startsWith("tributary: ");
    }

    @Test
    void debugShowsTheStackTrace() {
        assertThat(Cli.run("plan", "--debug", "--schema", "/nowhere").err())
                .contains("\tat io.tributary");
    }

    @Test
    void helpIsThere() {
        assertThat(Cli.run("demo", "--help").out()).contains("--topology", "Default: 3tier");
        assertThat(Cli.run().exit()).isEqualTo(2);
    }
}
