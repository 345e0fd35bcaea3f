// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.protocol.message.Evaluation;
import io.tributary.protocol.message.MetricSummary;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.protocol.message.RoundStatus;
import java.io.PrintStream;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Shows a live line for the round that is open. On a terminal the line is written over; elsewhere
 * each round gets one line when it closes. Thread-safe.
 */
public final class Console {

    private static final int BAR = 12;

    private final PrintStream out;
    private final boolean quiet;
    private final boolean several;
    private final boolean terminal;
    private final int columns;
    private int width;
    private final Map<String, String> noted = new HashMap<>();
    private final Map<String, Evaluation> evaluated = new HashMap<>();

    /**
     * @param quiet whether to leave the live lines out
     */
    public Console(PrintStream out, boolean quiet) {
        this(out, quiet, false);
    }

    /**
     * The same for one or several models.
     *
     * @param several whether each line names the job that the model is known by
     */
    public Console(PrintStream out, boolean quiet, boolean several) {
        this.out = out;
        this.quiet = quiet;
        this.several = several;
        this.terminal = System.console() != null;
        this.columns = Math.max(20, Integer.getInteger("tributary.columns", 80));
    }

    /** Prints a line. */
    public synchronized void say(String line) {
        clear();
        out.println(line);
    }

    /** Says so when a round's own model was rejected; otherwise its line says enough. */
    public void model(ModelDescription model) {
        if (!model.rejected().isEmpty()) {
            say(
                    "%sround %2d  its model is rejected, the one before goes on: %s"
                            .formatted(whose(model.job()), model.round(), model.rejected()));
        }
    }

    /** Shows how a round stands. */
    public synchronized void status(RoundStatus status) {
        note(status.job(), status.note());
        evaluation(status.job(), status.evaluation());
        boolean over =
                status.state() == RoundStatus.State.CLOSED
                        || status.state() == RoundStatus.State.ABANDONED;
        if (quiet || status.state() == RoundStatus.State.FINISHED || !terminal && !over) {
            return;
        }
        StringBuilder line =
                new StringBuilder("%sround %2d ".formatted(whose(status.job()), status.round()));
        line.append(
                switch (status.state()) {
                    case WAITING -> " waiting ";
                    case EVALUATING -> " evaluating ";
                    case OPEN -> " open    ";
                    case CLOSED -> " closed  ";
                    case ABANDONED -> " abandoned ";
                    case FINISHED -> " finished ";
                });
        line.append("%3d/%d  ".formatted(status.updates(), status.expected()));
        new TreeMap<>(status.groups())
                .forEach(
                        (group, g) ->
                                line.append(
                                        "%s %s %d/%d  "
                                                .formatted(
                                                        group,
                                                        bar(g.updates(), g.expected()),
                                                        g.updates(),
                                                        g.expected())));
        if (status.rejected() > 0) {
            line.append(status.rejected()).append(" rejected");
        }
        clear();
        if (over) {
            out.println(line.toString().stripTrailing());
        } else {
            // A line that wraps could not be written over.
            String shown = line.substring(0, Math.min(line.length(), columns - 1));
            out.print(shown);
            out.flush();
            width = shown.length();
        }
    }

    private String whose(String job) {
        return several ? job + "  " : "";
    }

    /** Says it once, however often it comes. */
    private void note(String job, String note) {
        boolean said = note.equals(noted.getOrDefault(job, ""));
        noted.put(job, note);
        if (!said && !note.isEmpty() && !quiet) {
            say(whose(job) + note);
        }
    }

    /** Says what a model is worth, once for each model. */
    private void evaluation(String job, Evaluation found) {
        if (found == null || quiet || found.equals(evaluated.put(job, found))) {
            return;
        }
        say(
                "%smodel %2d  %s"
                        .formatted(
                                whose(job),
                                found.round(),
                                new TreeMap<>(found.metrics())
                                        .entrySet().stream()
                                                .map(
                                                        its ->
                                                                "%s %.4g"
                                                                        .formatted(
                                                                                its.getKey(),
                                                                                its.getValue()))
                                                .collect(Collectors.joining(", "))));
    }

    private static String bar(int part, int whole) {
        int full = whole == 0 ? 0 : BAR * part / whole;
        return "█".repeat(full) + "░".repeat(BAR - full);
    }

    private void clear() {
        if (width > 0) {
            out.print("\r" + " ".repeat(width) + "\r");
            width = 0;
        }
    }

    private static String loss(DemoReport.Round round) {
        MetricSummary loss = round.metrics().get("loss");
        return loss == null ? "" : "%.3f".formatted(loss.mean());
    }

    synchronized void table(List<DemoReport.Round> rounds) {
        clear();
        out.println();
        out.println("round  updates  test accuracy  training loss  last update to model");
        for (DemoReport.Round round : rounds) {
            out.printf(
                    "%5d  %7d  %12.1f%%  %13s  %17.1f ms%n",
                    round.round(),
                    round.updates(),
                    100 * round.testAccuracy(),
                    loss(round),
                    round.lastUpdateToModelMs());
        }
    }
}
