// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.cli.testutils.Cli;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionWriter;
import io.tributary.protocol.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
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

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--detached",
                "--cluster localhost:1",
                "--from-latest",
                "--from-savepoint /nowhere"
            })
    void aJobOfThisProcessGoesOnFromNothingAndElsewhere(String option) {
        Cli cli = Cli.run(("submit --config job.yaml --here " + option).split(" "));
        assertThat(cli.exit()).isEqualTo(2);
        assertThat(cli.err()).startsWith("tributary: --here excludes --cluster, --detached");
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
                "demo --algorithm fedsgd",
                "demo --param beta1=0.5",
                "demo --algorithm fedadam --param beta1=2",
                "demo --param learning-rate",
                "demo --topology 5tier",
                "demo --groups a,,b",
                "demo --data /nowhere",
                "demo --report /nowhere/report.json",
                "demo --out /proc/models",
                "aggregate --out /tmp pom.xml",
                "trainer --job j --group g --transport mqtt.example",
                "aggregate --out x",
                "regions reap --dir /tmp",
                "regions reap --dir /",
                "regions reap --dir pom.xml",
                "regions ls --dir pom.xml",
                "demo --quiet --ui-port 65536",
                "demo --quiet --ui-port -1",
                "demo --minimum-trainers 0",
                "demo --topology pom.xml --groups a",
                "agent --port 65533",
                "agent --port -1",
                "agent status --port 0",
                "doctor --agent-port 0",
                "regions nodes --port 70000",
                "trainer --job j --group g --transport shm:?agent-port=0",
                "trainer --job j --group g --transport kafka://::1:9092",
                "trainer --job j --group g --transport mqtt://::1:1883",
                "trainer --job j --group g --transport shm --user x",
                "trainer --job j --group g --transport kafka://k:1 --password x",
                "trainer --job j --group g --transport mqtt://m:1 --kafka-property a=b",
                "trainer --job j --group g --transport mqtt://m:1 --ca-file x.pem",
                "trainer --job j --group g --transport pigeon",
                "agent --port 21105 status",
                "cluster stop --dir target",
                "cluster start --set high-availability",
                "cluster start --dir target/none --set rest.port=1",
                "submit --config job.yaml --parallelism 0",
                "submit --config job.yaml --parallelism 129",
                "submit --config job.yaml --parallelism 2 --detached",
                "submit --config job.yaml --parallelism 2 --from-latest",
                "cancel",
                "cancel demo --cluster ::1:8081"
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
    void aCommandThatSaysNothingToItsLogLeavesNone() throws Exception {
        Path log = temp.resolve("tributary.log");
        int exit =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-cp",
                                System.getProperty("java.class.path"),
                                "-Dtributary.log=" + log,
                                Main.class.getName(),
                                "plan",
                                "--help")
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start()
                        .waitFor();
        assertThat(exit).isZero();
        assertThat(log).doesNotExist();
    }

    @Test
    void whoMistypesIsToldWhatIsSimilar() {
        assertThat(Cli.run("dmo").err()).contains("'dmo'", "did you mean", "demo");
        assertThat(Cli.run("demo", "--topolgy", "4tier").err()).contains("--topology?");
    }

    @Test
    void helpIsThere() {
        assertThat(Cli.run("demo", "--help").out()).contains("--topology", "Default: 3tier");
        assertThat(Cli.run().exit()).isEqualTo(2);
    }

    /** Root's too: what others left in a directory for all is not this one's to delete. */
    @Test
    void reapingLeavesAloneWhatIsNoRegionDirectory() throws IOException {
        Path foreign = Files.writeString(temp.resolve("mine.region"), "not a region");
        Files.setLastModifiedTime(foreign, FileTime.fromMillis(0));
        Cli rejected = Cli.run("regions", "reap", "--dir", temp.toString(), "--older-than", "0");
        assertThat(rejected.exit()).isEqualTo(2);
        assertThat(rejected.err()).contains("expected a region directory");
        assertThat(foreign).exists();

        Path regions = temp.resolve("regions");
        try (RegionWriter dead =
                new RegionDirectory(regions, 1 << 20).reserve("job/x", 10).orElseThrow()) {
            assertThat(dead).isNotNull();
            Cli alive = Cli.run("regions", "reap", "--dir", regions.toString());
            assertThat(alive.exit()).as(alive.err()).isZero();
            assertThat(alive.out()).startsWith("0 regions deleted");
        }
    }
}
