// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.topology;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import io.tributary.protocol.topology.Topology.Node;
import io.tributary.protocol.topology.Topology.Task;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TopologyTest {

    private static final String HIERARCHY =
            """
            {"roles":[
              {"name":"trainer","isDataConsumer":true,
               "groupAssociation":[{"low":"eu"},{"low":"na"}]},
              {"name":"middle","replica":1,
               "groupAssociation":[{"low":"eu","high":"default"},{"low":"na","high":"default"}]},
              {"name":"top","groupAssociation":[{"high":"default"}]}],
             "channels":[
              {"name":"low","pair":["trainer","middle"],
               "groupBy":{"type":"tag","value":["eu","na"]},
               "funcTags":{"trainer":["upload"],"middle":["aggregate"]}},
              {"name":"high","pair":["top","middle"]}]}
            """;

    private static Topology parse(String json) {
        return Topology.parse("schema.json", json.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void levelsFollowTheChannelsToTheRoot() {
        Topology topology = parse(HIERARCHY);

        assertThat(topology.levels()).containsExactly("trainer", "middle", "top");
        assertThat(topology.groups())
                .isEqualTo(Map.of("low", List.of("eu", "na"), "high", List.of("default")));
        assertThat(topology.nodes())
                .containsExactly(
                        List.of(
                                new Node("middle/eu/0", "eu", "top"),
                                new Node("middle/na/0", "na", "top")),
                        List.of(new Node("top", "", "")));
        assertThat(topology.counts()).isEqualTo(Map.of("middle", 2L, "top", 1L, "trainer", 0L));
    }

    @Test
    void replicasMultiplyTheEntries() {
        Topology topology = parse(HIERARCHY.replace("\"replica\":1", "\"replica\":3"));

        assertThat(topology.counts()).containsEntry("middle", 6L);
        assertThat(topology.nodes().get(0))
                .extracting(Node::name)
                .contains("middle/eu/2", "middle/na/2")
                .hasSize(6);
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-3", "1000000", "2147483647", "1.5"})
    void aReplicaThatCannotBeMeantIsRejected(String replica) {
        assertThatThrownBy(
                        () -> parse(HIERARCHY.replace("\"replica\":1", "\"replica\":" + replica)))
                .isInstanceOf(TopologyException.class)
                .hasMessageContaining("#/roles/1/replica");
    }

    @Test
    void manyReplicasTakeNoTime() {
        assertTimeoutPreemptively(
                Duration.ofSeconds(10),
                () ->
                        assertThat(
                                        parse(
                                                        HIERARCHY.replace(
                                                                "\"replica\":1",
                                                                "\"replica\":32768"))
                                                .counts())
                                .containsEntry("middle", 65536L));
    }

    @Test
    void severalGroupsBelowTheRootWouldBeSeveralModels() {
        String two =
                """
                {"roles":[{"name":"t","isDataConsumer":true,"groupAssociation":[{"c":"us"},{"c":"eu"}]},
                  {"name":"top","groupAssociation":[{"c":"us"},{"c":"eu"}]}],
                 "channels":[{"name":"c","pair":["t","top"],"groupBy":{"value":["us","eu"]}}]}
                """;
        assertThatThrownBy(() -> parse(two))
                .hasMessageContaining("#/roles/1/groupAssociation")
                .hasMessageContaining(
                        "2 groups of channel 'c' below the root role 'top', so 2 models")
                .hasMessageContaining("put an aggregator role between");
    }

    @Test
    void eachGroupOfTheRootsChannelIsAModel(@TempDir Path directory) throws IOException {
        Path schema =
                Files.writeString(
                        directory.resolve("schema.json"),
                        """
                        {"roles":[
                          {"name":"t","isDataConsumer":true,"groupAssociation":
                            [{"low":"us"},{"low":"eu"},{"low":"asia"}]},
                          {"name":"middle","replica":2,"groupAssociation":
                            [{"low":"us","high":"west"},{"low":"eu","high":"west"},{"low":"asia","high":"east"}]},
                          {"name":"top","groupAssociation":[{"high":"west"},{"high":"east"}]}],
                         "channels":[
                          {"name":"low","pair":["t","middle"],"groupBy":{"value":["us","eu","asia"]}},
                          {"name":"high","pair":["middle","top"],"groupBy":{"value":["west","east"]}}]}
                        """);
        Path spec =
                Files.writeString(
                        directory.resolve("dataSpec.json"),
                        "[{\"role\":\"t\",\"datasetGroups\":{\"us\":[\"d1\"],\"asia\":[\"d2\"]}}]");
        Map<String, Topology> models = Topology.readEach(schema, Optional.of(spec));
        assertThat(models).containsOnlyKeys("west", "east");
        Topology west = models.get("west");
        assertThat(west.trainerGroups()).containsExactly("us", "eu");
        assertThat(west.counts()).isEqualTo(Map.of("t", 1L, "middle", 4L, "top", 1L));
        assertThat(west.nodes().get(0))
                .extracting(Topology.Node::name)
                .containsExactly("middle/us/0", "middle/us/1", "middle/eu/0", "middle/eu/1");
        assertThat(west.root().name()).isEqualTo("top");
        assertThat(models.get("east").trainerGroups()).containsExactly("asia");
        assertThat(models.get("east").counts()).isEqualTo(Map.of("t", 1L, "middle", 2L, "top", 1L));

        String good = Files.readString(schema);
        for (Map.Entry<String, String> bad :
                Map.of(
                                good.replace("\"west\",\"east\"]", "\"west\",\"east\",\"far\"]"),
                                "no entry for group 'far' of channel 'high'",
                                good.replace("\"west\"", "\"e/a\"").replace("\"east\"", "\"e.a\""),
                                "become 'e.a' in the names of their models")
                        .entrySet()) {
            Files.writeString(schema, bad.getKey());
            assertThatThrownBy(() -> Topology.readEach(schema, Optional.empty()))
                    .hasMessageContaining(bad.getValue());
        }

        Files.writeString(schema, HIERARCHY);
        assertThat(Topology.readEach(schema, Optional.empty()).values())
                .containsExactly(Topology.read(schema, Optional.empty()));
    }

    @Test
    void dataTasksComeFromTheDataSpec(@TempDir Path directory) throws IOException {
        Path schema = Files.writeString(directory.resolve("schema.json"), HIERARCHY);
        Path spec =
                Files.writeString(
                        directory.resolve("dataSpec.json"),
                        "[{\"role\":\"trainer\",\"datasetGroups\":{\"na\":[\"d1\",\"d2\"]}}]");

        assertThat(Topology.read(schema, Optional.of(spec)).tasks())
                .filteredOn(t -> t.role().equals("trainer"))
                .containsExactly(
                        new Task("trainer", Map.of("low", "na"), "d1"),
                        new Task("trainer", Map.of("low", "na"), "d2"));

        Files.writeString(spec, "[{\"role\":\"trainer\",\"datasetGroups\":{\"mars\":[\"d\"]}}]");
        assertThatThrownBy(() -> Topology.read(schema, Optional.of(spec)))
                .hasMessageContaining("dataSpec.json#/0/datasetGroups/mars: found group 'mars'")
                .hasMessageContaining("allowed: 'eu', 'na'");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "\"top\",\"middle\"];\"tpo\",\"middle\"];/channels/1/pair/0;'trainer', 'middle', 'top'",
                "\"isDataConsumer\":true;\"isDataConsumer\":false;/roles;no data role",
                "{\"name\":\"top\";{\"name\":\"top\",\"isDataConsumer\":true;/roles/2/isDataConsumer;"
                        + "second data role",
                "{\"name\":\"middle\";{\"name\":\"middle\",\"isDataConsumer\":true;/channels/0/pair;"
                        + "two data roles linked",
                "{\"name\":\"high\";{\"name\":\"x\",\"pair\":[\"top\",\"trainer\"]},{\"name\":\"high\";"
                        + "/channels/2/pair;a cycle",
                "{\"low\":\"na\",\"high\":\"default\"};{\"low\":\"mars\",\"high\":\"default\"};"
                        + "/roles/1/groupAssociation/1/low;allowed: 'eu', 'na'",
                "{\"high\":\"default\"};{\"hihg\":\"default\"};/roles/2/groupAssociation/0/hihg;"
                        + "allowed: 'low', 'high'",
                "\"funcTags\":{\"trainer\";\"funcTags\":{\"top\";/channels/0/funcTags/top;"
                        + "allowed: 'trainer', 'middle'",
                "{\"name\":\"top\";{\"name\":\"lonely\"},{\"name\":\"top\";/roles/2/name;"
                        + "without an upward path",
                "{\"name\":\"top\";{\"name\":\"middle\";/roles/2/name;each name may stand once",
                "\"pair\":[\"top\",\"middle\"];\"pair\":[\"top\"];/channels/1/pair;two roles"
            })
    void mistakesAreReportedWithTheirPlace(
            String right, String wrong, String pointer, String message) {
        assertThat(HIERARCHY).contains(right);
        assertThatThrownBy(() -> parse(HIERARCHY.replace(right, wrong)))
                .isInstanceOfSatisfying(
                        TopologyException.class, e -> assertThat(e.pointer()).isEqualTo(pointer))
                .hasMessageStartingWith("schema.json#" + pointer + ": found ")
                .hasMessageContaining(message);
    }

    @Test
    void oneRootOnly() {
        String twoRoots =
                HIERARCHY
                        .replace("{\"name\":\"top\"", "{\"name\":\"other\"},{\"name\":\"top\"")
                        .replace(
                                "{\"name\":\"high\"",
                                "{\"name\":\"x\",\"pair\":[\"other\",\"middle\"]},{\"name\":\"high\"");
        assertThatThrownBy(() -> parse(twoRoots)).hasMessageContaining("two roots");
    }

    @Test
    void aGroupingHigherUpIsNotFiner() {
        String split =
                """
                {"roles":[{"name":"t","isDataConsumer":true},
                  {"name":"m","groupAssociation":[{"low":"default/us","high":"default/us/west"}]},
                  {"name":"r","groupAssociation":[{"high":"default/us/west"}]}],
                 "channels":[
                  {"name":"low","pair":["t","m"],"groupBy":{"value":["default/us"]}},
                  {"name":"high","pair":["m","r"],"groupBy":{"value":["default/us/west"]}}]}
                """;
        assertThatThrownBy(() -> parse(split))
                .hasMessageContaining("#/roles/1/groupAssociation/0/high")
                .hasMessageContaining("may not be finer");
        String twoUp =
                HIERARCHY
                        .replace(
                                "{\"low\":\"na\",\"high\":\"default\"}",
                                "{\"low\":\"na\",\"high\":\"a\"},{\"low\":\"eu\",\"high\":\"b\"}")
                        .replace("\"high\":\"default\"", "\"high\":\"a\"")
                        .replace(
                                "\"pair\":[\"top\",\"middle\"]",
                                "\"pair\":[\"top\",\"middle\"],\"groupBy\":{\"value\":[\"a\",\"b\"]}");
        assertThatThrownBy(() -> parse(twoUp)).hasMessageContaining("may not be finer");
    }

    @Test
    void tiersAreTwoToFour() {
        StringBuilder roles = new StringBuilder("{\"name\":\"r0\",\"isDataConsumer\":true}");
        StringBuilder channels = new StringBuilder();
        for (int i = 1; i <= 4; i++) {
            roles.append(",{\"name\":\"r%d\"}".formatted(i));
            channels.append(i == 1 ? "" : ",")
                    .append("{\"name\":\"c%d\",\"pair\":[\"r%d\",\"r%d\"]}".formatted(i, i, i - 1));
        }
        assertThatThrownBy(
                        () ->
                                parse(
                                        "{\"roles\":[%s],\"channels\":[%s]}"
                                                .formatted(roles, channels)))
                .hasMessageContaining("5 tiers");
    }

    @Test
    void anyJsonIsReadOrReported() {
        for (String json : List.of("", "[]", "{}", "null", "{\"roles\":3}", "{\"roles\":[{}]}")) {
            assertThatThrownBy(() -> parse(json))
                    .isInstanceOf(TopologyException.class)
                    .hasMessageStartingWith("schema.json#");
        }
    }

    @ParameterizedTest
    @CsvSource({"hier_mnist, 3, trainer, 4", "medmnist, 2, trainer, 10", "mnist, 2, trainer, 1"})
    void readsFlamesExamples(String example, int levels, String role, long tasks) {
        Path folder =
                Path.of(System.getProperty("tributary.shared"), "data", "flame-examples", example);
        assumeThat(folder).as("inputs that lie beside the repository").exists();

        Topology topology =
                Topology.read(
                        folder.resolve("schema.json"),
                        Optional.of(folder.resolve("dataSpec.json")));

        assertThat(topology.levels()).hasSize(levels);
        assertThat(topology.counts()).containsEntry(role, tasks);
    }
}
