// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.job.config.JobSpec;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.JavaProcess;
import io.tributary.testbed.process.NetnsHosts;
import io.tributary.testbed.process.PythonProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The trainers, a process each. */
final class TrainerFleet implements AutoCloseable {

    private static final int LAST_LINES = 4;
    private static final String SCRIPT = "testbed/chaos_trainer.py";

    private final Path work;
    private final Optional<NetnsHosts> hosts;
    private final Map<String, ChildProcess> processes = new TreeMap<>();
    private final List<String> ids;
    private final List<String> inPython;
    private final Optional<PythonProcess> python;

    /**
     * @param hosts where they are dealt out to; without, all are on this machine
     * @param say told what takes time
     */
    TrainerFleet(
            ChaosOptions.Trainers trainers,
            Path work,
            Optional<NetnsHosts> hosts,
            Consumer<String> say) {
        this.work = work;
        this.hosts = hosts;
        this.inPython = names("p-", trainers.python());
        this.ids = Stream.concat(names("t-", trainers.java()).stream(), inPython.stream()).toList();
        this.python =
                inPython.isEmpty()
                        ? Optional.empty()
                        : Optional.of(PythonProcess.prepare("kafka", say));
    }

    private static List<String> names(String prefix, int count) {
        return IntStream.rangeClosed(1, count).mapToObj(i -> prefix + i).toList();
    }

    void start() {
        ids.forEach(this::start);
    }

    private void start(String id) {
        String group = Chaos.GROUPS.get(ids.indexOf(id) % Chaos.GROUPS.size());
        processes.put(id, inPython.contains(id) ? startPython(id, group) : startJava(id, group));
    }

    private ChildProcess startJava(String id, String group) {
        JavaProcess.Command command =
                JavaProcess.Command.here(
                        List.of(
                                "-Xmx128m",
                                "-XX:+UseSerialGC",
                                "-XX:TieredStopAtLevel=1",
                                "-Dtributary.log=" + work.resolve(id + ".log")),
                        ChaosTrainer.class.getName(),
                        List.of(id, group, work.toString()));
        return JavaProcess.start(
                hosts.map(h -> command.on(h.host(host(id)))).orElse(command),
                work.resolve(id + ".out"));
    }

    private ChildProcess startPython(String id, String group) {
        JobSpec job = JobSpec.read(Chaos.config(work));
        return python.orElseThrow()
                .start(
                        hosts.map(h -> h.host(host(id)).enter()).orElse(List.of()),
                        SCRIPT,
                        List.of(
                                job.followed().uri(),
                                job.name(),
                                id,
                                group,
                                Chaos.trainers(work).toString(),
                                Chaos.stop(work).toString()),
                        work.resolve(id + ".out"));
    }

    /** The host of a trainer. */
    private int host(String id) {
        return 1 + ids.indexOf(id) % hosts.orElseThrow().count();
    }

    void killOn(int host) {
        ids.stream().filter(id -> host(id) == host).forEach(id -> processes.get(id).kill());
    }

    void startOn(int host) {
        ids.stream().filter(id -> host(id) == host).forEach(this::start);
    }

    void killOne(Random random) {
        String id = ids.get(random.nextInt(ids.size()));
        processes.get(id).kill();
        start(id);
    }

    /**
     * Lets all have their last receipt.
     *
     * @return those that did not get it
     */
    List<String> stop(long seconds) throws IOException {
        Files.writeString(Chaos.stop(work), "");
        return ids.stream().filter(id -> !processes.get(id).await(seconds)).toList();
    }

    /** What a trainer that does not end has said last, and what it waits for. */
    String lastWords(String id) throws IOException {
        String said = String.join(" | ", tail(work.resolve(id + ".log"), LAST_LINES));
        if (inPython.contains(id)) {
            return String.join(" | ", tail(work.resolve(id + ".out"), LAST_LINES));
        }
        processes.get(id).dumpThreads();
        List<String> dump = tail(work.resolve(id + ".out"), Integer.MAX_VALUE);
        List<String> frames =
                dump.stream()
                        .dropWhile(line -> !line.startsWith("\"main\""))
                        .takeWhile(line -> !line.isBlank())
                        .filter(line -> line.contains("tributary"))
                        .map(String::strip)
                        .toList();
        return said + " | " + String.join(" ", frames);
    }

    private static List<String> tail(Path file, int count) throws IOException {
        List<String> lines = Files.exists(file) ? Files.readAllLines(file) : List.of();
        return lines.subList(Math.max(0, lines.size() - count), lines.size());
    }

    Map<String, TrainerLog> logs() {
        Map<String, TrainerLog> logs = new TreeMap<>();
        ids.forEach(id -> logs.put(id, new TrainerLog(Chaos.trainers(work), id)));
        return logs;
    }

    @Override
    public void close() {
        processes.values().forEach(ChildProcess::kill);
    }
}
