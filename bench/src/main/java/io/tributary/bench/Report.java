// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What {@code bench} found.
 *
 * @param machine where
 * @param runs the figures of each run, which had processes of its own if there are several
 * @param leftOut paths that cannot be measured here, and why
 * @param failed paths that could not be measured to their end, and why
 */
record Report(
        Machine machine,
        List<List<Figure>> runs,
        Map<String, String> leftOut,
        Map<String, String> failed) {

    /** One run. */
    static Report of(Machine machine, List<Figure> figures) {
        return new Report(machine, List.of(figures), Map.of(), Map.of());
    }

    /** Each figure of all runs, under its name. */
    Map<String, List<Figure>> figures() {
        Map<String, List<Figure>> all = new LinkedHashMap<>();
        for (List<Figure> run : runs) {
            run.forEach(f -> all.computeIfAbsent(f.name(), name -> new ArrayList<>()).add(f));
        }
        return all;
    }

    /** A table for people: medians over the runs and, where there are several, what they span. */
    String table() {
        StringBuilder table = new StringBuilder();
        table.append(machine).append("%n%n".formatted());
        table.append("%-48s %20s  %s%n".formatted("", "", "of the limit"));
        figures().values().forEach(figure -> table.append(line(figure)));
        leftOut.forEach((path, why) -> table.append("%s is left out: %s%n".formatted(path, why)));
        failed.forEach((path, why) -> table.append("%s failed: %s%n".formatted(path, why)));
        return table.toString();
    }

    private static String line(List<Figure> runs) {
        Figure any = runs.get(0);
        String line =
                "%-48s %9s %-10s"
                        .formatted(
                                any.name(),
                                number(Samples.median(runs.stream().map(Figure::value).toList())),
                                any.unit());
        if (any.limited()) {
            line +=
                    "  %-16s (%s %s)"
                            .formatted(
                                    span(runs.stream().map(Figure::score).toList()),
                                    any.limit(),
                                    number(
                                            Samples.median(
                                                    runs.stream()
                                                            .map(Figure::limitValue)
                                                            .toList())));
        } else if (runs.size() > 1) {
            line += "  " + span(runs.stream().map(Figure::value).toList());
        }
        return line.stripTrailing() + System.lineSeparator();
    }

    private static String span(List<Double> values) {
        String middle = number(Samples.median(values));
        return values.size() == 1
                ? middle
                : "%s, %s to %s"
                        .formatted(
                                middle,
                                number(values.stream().min(Double::compare).orElseThrow()),
                                number(values.stream().max(Double::compare).orElseThrow()));
    }

    /** Three digits that count. */
    private static String number(double value) {
        if (value == 0 || Math.abs(value) >= 100) {
            return "%.0f".formatted(value);
        }
        return "%.{d}f"
                .replace("{d}", Math.abs(value) >= 10 ? "1" : Math.abs(value) >= 0.1 ? "2" : "3")
                .formatted(value);
    }
}
