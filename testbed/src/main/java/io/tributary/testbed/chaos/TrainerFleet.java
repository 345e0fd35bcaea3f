// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.chaos;

import io.tributary.testbed.process.JavaProcess;
import io.tributary.testbed.process.NetnsHosts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;

/** The trainers, a process each. */
final class TrainerFleet implements AutoCloseable {

    private final Path work;
    private final Optional<NetnsHosts> hosts;
    private final Map<String, JavaProcess> processes = new TreeMap<>();
    private final List<String> ids;

    /**
     * @param hosts where they are dealt out to; without, all are on this machine
     */
    TrainerFleet(int trainers, Path work, Optional<NetnsHosts> hosts) {
        this.work = work;
        this.hosts = hosts;
        this.ids =
                java.util.stream.IntStream.rangeClosed(1, trainers)
                        .mapToObj(i -> "t-" + i)
                        .toList();
    }

    void start() {
        ids.forEach(this::start);
    }

    private void start(String id) {
        String group = Chaos.GROUPS.get(ids.indexOf(id) % Chaos.GROUPS.size());
        JavaProcess.Command command =
                JavaProcess.Command.here(
                        List.of(
                                "-Xmx128m",
                                "-XX:+UseSerialGC",
                                "-XX:TieredStopAtLevel=1",
                                "-Dtributary.log=" + work.resolve(id + ".log")),
                        ChaosTrainer.class.getName(),
                        List.of(id, group, work.toString()));
        processes.put(
                id,
                JavaProcess.start(
                        hosts.map(h -> command.on(h.host(host(id)))).orElse(command),
                        work.resolve(id + ".out")));
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

    Map<String, TrainerLog> logs() {
        Map<String, TrainerLog> logs = new TreeMap<>();
        ids.forEach(id -> logs.put(id, new TrainerLog(Chaos.trainers(work), id)));
        return logs;
    }

    @Override
    public void close() {
        processes.values().forEach(JavaProcess::kill);
    }
}
