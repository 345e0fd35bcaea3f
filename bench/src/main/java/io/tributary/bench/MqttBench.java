// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.MqttLink;
import io.tributary.protocol.mqtt.Publication;
import io.tributary.shm.agent.FreePorts;
import io.tributary.shm.node.RegionAccess;
import io.tributary.sources.staging.Staging;
import io.tributary.trainer.Transport;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/**
 * Trainers send their updates through Mosquitto to a job, timed until the top has the sum. The
 * limit is {@code mosquitto_sub} receiving the same chunks from the same senders.
 */
final class MqttBench {

    private static final int WARM_UP_ROUNDS = 2;

    private final LiveRounds.Load load;
    private final Path parent;

    MqttBench(int params, int trainers, int levels, int rounds, Path parent) {
        this.load =
                new LiveRounds.Load(
                        params, trainers, levels, WARM_UP_ROUNDS, rounds, Duration.ofSeconds(1));
        this.parent = parent;
    }

    PathReport run() throws Exception {
        int port = FreePorts.next();
        BrokerOptions broker = BrokerOptions.of("tcp://127.0.0.1:" + port);
        try (WorkDirectory work = WorkDirectory.create("bench");
                WorkDirectory regions = WorkDirectory.create(parent, "bench")) {
            Process mosquitto = mosquitto(port, work.path());
            try {
                List<Double> limits = new ArrayList<>();
                for (int repeat = 0; repeat < WARM_UP_ROUNDS + load.rounds(); repeat++) {
                    double seconds = limit(broker, port);
                    if (repeat >= WARM_UP_ROUNDS) {
                        limits.add(load.gigabytes() / seconds);
                    }
                }
                long quota = 2L * load.trainers() * (4L * load.params() + 65_536);
                LiveRounds live =
                        new LiveRounds(
                                load,
                                new MqttTransport(
                                        broker,
                                        new Staging(
                                                new RegionAccess.Place(regions.path().toString()),
                                                quota,
                                                Duration.ofMinutes(5),
                                                Duration.ofHours(1))),
                                Transport.mqtt(broker));
                live.run(work.path(), regions.path(), (flink, rounds) -> {});
                return PathReport.of(
                        "mqtt",
                        load.params(),
                        load.trainers(),
                        load.gigabytes() / Samples.median(live.seconds()),
                        "mosquitto_sub",
                        Samples.median(limits));
            } finally {
                mosquitto.destroy();
                mosquitto.waitFor();
            }
        }
    }

    private static Process mosquitto(int port, Path work) throws IOException {
        Path configuration = work.resolve("mosquitto.conf");
        Files.writeString(
                configuration,
                "listener %d 127.0.0.1%nallow_anonymous true%nmax_queued_messages 0%n"
                        .formatted(port));
        // It says what it does on its error output, which is discarded.
        return start(List.of("mosquitto", "-c", configuration.toString()), "mosquitto");
    }

    private static Process start(List<String> command, String debian) throws IOException {
        try {
            ProcessBuilder builder =
                    new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD);
            builder.environment().merge("PATH", ":/usr/sbin", String::concat);
            List<String> line = new ArrayList<>(List.of("env"));
            line.addAll(command);
            return builder.command(line).start();
        } catch (IOException e) {
            throw new IOException(
                    "%s cannot be run; on Debian: apt-get install %s"
                            .formatted(command.get(0), debian),
                    e);
        }
    }

    /** Seconds until mosquitto_sub has all chunks of one update from each trainer. */
    private double limit(BrokerOptions broker, int port) throws Exception {
        Topics topics = new Topics("limit");
        int chunks = ChunkPart.count(4L * load.params(), ChunkPart.MAX_CHUNK_BYTES);
        try (MqttLink link = link(broker, "limit-ready")) {
            link.publish(
                    new Publication(topics.update("ready"), "ready".getBytes(), Map.of(), true));
        }
        Process receiver =
                start(
                        List.of(
                                "mosquitto_sub",
                                "-h",
                                "127.0.0.1",
                                "-p",
                                Integer.toString(port),
                                "-V",
                                "5",
                                "-q",
                                "1",
                                "-t",
                                "tributary/v1/limit/update/#",
                                "-C",
                                Integer.toString(1 + chunks * load.trainers()),
                                "-F",
                                "%t"),
                        "mosquitto-clients");
        ExecutorService threads = Executors.newFixedThreadPool(load.trainers());
        try {
            // A retained message comes with the subscription, so from then on nothing is missed.
            receiver.inputReader().readLine();
            List<MqttLink> links = new ArrayList<>();
            for (int i = 0; i < load.trainers(); i++) {
                links.add(link(broker, "limit-" + i));
            }
            List<Callable<Void>> all = new ArrayList<>();
            byte[] chunk = new byte[ChunkPart.MAX_CHUNK_BYTES];
            for (int i = 0; i < load.trainers(); i++) {
                int trainer = i;
                all.add(
                        () -> {
                            send(links.get(trainer), topics, "t-" + trainer, chunks, chunk);
                            return null;
                        });
            }
            long start = System.nanoTime();
            for (Future<Void> future : threads.invokeAll(all)) {
                future.get();
            }
            if (!receiver.waitFor(120, TimeUnit.SECONDS)) {
                throw new IllegalStateException("mosquitto_sub has not received all chunks");
            }
            double seconds = (System.nanoTime() - start) / 1e9;
            links.forEach(MqttLink::close);
            return seconds;
        } finally {
            threads.shutdownNow();
            receiver.destroy();
        }
    }

    private static MqttLink link(BrokerOptions broker, String id) {
        return MqttLink.connect(
                broker,
                new MqttLink.Settings(id, 16, Optional.empty()),
                message -> message.done().run());
    }

    private static void send(
            MqttLink link, Topics topics, String trainer, int chunks, byte[] chunk) {
        link.publish(
                () ->
                        IntStream.range(0, chunks)
                                .mapToObj(
                                        i ->
                                                Publication.bytes(
                                                        topics.update(trainer),
                                                        ByteBuffer.wrap(chunk),
                                                        header(topics, trainer, chunks, i)
                                                                .toProperties(),
                                                        false))
                                .iterator());
    }

    private static ChunkHeader header(Topics topics, String trainer, int chunks, int chunk) {
        return new ChunkHeader(
                topics.job(),
                trainer,
                1,
                0,
                "bench",
                "",
                1,
                1,
                UpdateKind.WEIGHTS,
                Map.of(),
                new ChunkPart(
                        chunk,
                        chunks,
                        ChunkPart.MAX_CHUNK_BYTES,
                        (long) chunks * ChunkPart.MAX_CHUNK_BYTES,
                        0,
                        0));
    }
}
