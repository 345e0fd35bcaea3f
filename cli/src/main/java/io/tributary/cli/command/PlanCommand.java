// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.protocol.Json;
import io.tributary.protocol.topology.Topology;
import io.tributary.protocol.topology.Topology.Node;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code tributary plan}. */
@Command(name = "plan", description = "Checks a Flame topology and shows what becomes of it.")
public final class PlanCommand implements Callable<Integer> {

    @Option(
            names = "--schema",
            paramLabel = "FILE",
            required = true,
            description = "Flame's schema.json.")
    private Path schema;

    @Option(names = "--data-spec", paramLabel = "FILE", description = "Flame's dataSpec.json.")
    private Optional<Path> dataSpec;

    @Option(names = "--json", description = "Prints JSON.")
    private boolean json;

    @Override
    public Integer call() {
        Map<String, Topology> models = Topology.readEach(schema, dataSpec);
        if (json) {
            Map<String, Plan> plans = new LinkedHashMap<>();
            models.forEach((group, topology) -> plans.put(group, plan(topology)));
            System.out.println(
                    Json.pretty(models.size() == 1 ? plans.values().iterator().next() : plans));
        } else {
            models.forEach(
                    (group, topology) -> {
                        if (models.size() > 1) {
                            System.out.println("model " + group + ":");
                        }
                        print(topology, System.out);
                    });
        }
        return 0;
    }

    private static Plan plan(Topology topology) {
        return new Plan(topology.levels(), topology.groups(), topology.tasks(), topology.counts());
    }

    private record Plan(
            List<String> levels,
            Map<String, List<String>> groups,
            List<Topology.Task> tasks,
            Map<String, Long> counts) {}

    private static void print(Topology topology, PrintStream out) {
        out.println(String.join(" → ", topology.levels()));
        topology.groups().forEach((channel, groups) -> out.println(channel + ": " + groups));
        topology.counts().forEach((role, count) -> out.println(count + " × " + role));
        show(topology, topology.root(), topology.nodes().size() - 1, "", out);
    }

    private static void show(
            Topology topology, Node node, int level, String indent, PrintStream out) {
        out.println(indent + node.name());
        if (level == 0) {
            String role = topology.levels().get(0);
            topology.tasks().stream()
                    .filter(t -> t.role().equals(role))
                    .filter(t -> node.group().isEmpty() || t.group().containsValue(node.group()))
                    .forEach(t -> out.println(indent + "  " + role + " " + t.dataset()));
            return;
        }
        List<Node> below = topology.nodes().get(level - 1);
        below.stream()
                .filter(child -> child.parent().equals(node.name()))
                .forEach(child -> show(topology, child, level - 1, indent + "  ", out));
    }
}
