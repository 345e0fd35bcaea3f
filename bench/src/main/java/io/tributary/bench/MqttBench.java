// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.WorkDirectory;
import io.tributary.memory.kernel.PrivateMemory;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.sources.mqtt.source.reader.MqttSplitReader;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.MqttLink;
import io.tributary.transport.mqtt.Publication;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.zip.CRC32C;

/**
 * Trainers send their updates through Mosquitto to a job, timed until the top has the sum. The
 * limits receive the same chunks from the same senders: {@code mosquitto_sub}, and a consumer with
 * as many connections as the job that only computes their checksums.
 */
final class MqttBench {

    private static final int WARM_UP_LIMITS = 2;
    private static final long PATIENCE_SECONDS = 120;

    /** What the senders of the limits send, larger than any cache. */
    private final Map<String, PrivateMemory> updates = new ConcurrentHashMap<>();

    private final Load load;
    private final Path parent;

    MqttBench(Load load, Path parent) {
        this.load = load;
        this.parent = parent;
    }

    List<Figure> run() throws Exception {
        Tool.find("mosquitto_sub", "mosquitto-clients");
        try (WorkDirectory work = WorkDirectory.create("bench");
                Mosquitto mosquitto = new Mosquitto(work.path())) {
            LiveRounds live = mosquitto.run(load, parent);
            BrokerOptions broker = mosquitto.options();
            List<Double> paho = new ArrayList<>();
            List<Double> bare = new ArrayList<>();
            for (int repeat = 0; repeat < WARM_UP_LIMITS + load.rounds(); repeat++) {
                double gbOfPaho = load.gigabytes() / seconds(broker, new PahoConsumer(broker));
                double gbOfBare =
                        load.gigabytes() / seconds(broker, new MosquittoSub(mosquitto.port()));
                if (repeat >= WARM_UP_LIMITS) {
                    paho.add(gbOfPaho);
                    bare.add(gbOfBare);
                }
            }
            return List.of(
                    Figure.more("MQTT, end to end", "GB/s", live.gigabytesPerSecond())
                            .beside("Paho, checksums alone", paho),
                    Figure.more("MQTT, beside mosquitto_sub", "GB/s", live.gigabytesPerSecond())
                            .beside("mosquitto_sub", bare));
        }
    }

    /** Whoever receives instead of a job. */
    private interface Consumer extends AutoCloseable {

        /** Returns when a retained message has come, so that nothing is missed from then on. */
        void begin(Topics topics, int messages) throws Exception;

        /** Waits for all messages. */
        void await() throws Exception;

        @Override
        void close();
    }

    /** mosquitto_sub, a process with one connection. */
    private static final class MosquittoSub implements Consumer {

        private final int port;
        private Process process;

        MosquittoSub(int port) {
            this.port = port;
        }

        @Override
        public void begin(Topics topics, int messages) throws IOException {
            process =
                    new ProcessBuilder(
                                    Tool.find("mosquitto_sub", "mosquitto-clients").toString(),
                                    "-h",
                                    "127.0.0.1",
                                    "-p",
                                    Integer.toString(port),
                                    "-V",
                                    "5",
                                    "-q",
                                    "1",
                                    "-t",
                                    "tributary/v1/" + topics.job() + "/update/#",
                                    "-C",
                                    Integer.toString(1 + messages),
                                    "-F",
                                    "%t")
                            .redirectError(ProcessBuilder.Redirect.DISCARD)
                            .start();
            process.inputReader().readLine();
        }

        @Override
        public void await() throws InterruptedException {
            if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                throw new IllegalStateException("mosquitto_sub has not received all chunks");
            }
        }

        @Override
        public void close() {
            process.destroy();
        }
    }

    /**
     * As many connections as the job has, on the job's own link to a broker, and nothing done with
     * a chunk but its checksum.
     */
    private static final class PahoConsumer implements Consumer {

        private final BrokerOptions broker;
        private final List<MqttLink> links = new ArrayList<>();
        private CountDownLatch left;

        PahoConsumer(BrokerOptions broker) {
            this.broker = broker;
        }

        @Override
        public void begin(Topics topics, int messages) throws InterruptedException {
            int connections = Runtime.getRuntime().availableProcessors();
            left = new CountDownLatch(messages);
            CountDownLatch ready = new CountDownLatch(1);
            for (int connection = 0; connection < connections; connection++) {
                MqttLink link =
                        MqttLink.connect(
                                broker,
                                new MqttLink.Settings(
                                        "limit-" + UUID.randomUUID(),
                                        MqttSplitReader.RECEIVE_MAXIMUM,
                                        Optional.empty()),
                                message -> {
                                    if (message.payload().length < ChunkPart.MAX_CHUNK_BYTES) {
                                        ready.countDown();
                                    } else {
                                        new CRC32C().update(message.payload());
                                        left.countDown();
                                    }
                                    message.done().run();
                                });
                links.add(link);
                int first = connection;
                link.subscribe(
                        IntStream.range(0, Topics.LANES)
                                .filter(lane -> lane % connections == first)
                                .mapToObj(topics::updateFilter)
                                .toList());
            }
            ready.await();
        }

        @Override
        public void await() throws InterruptedException {
            if (!left.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                throw new IllegalStateException("the consumer has not received all chunks");
            }
        }

        @Override
        public void close() {
            links.forEach(MqttLink::close);
        }
    }

    /** Seconds until a consumer has all chunks of one update from each trainer. */
    private double seconds(BrokerOptions broker, Consumer consumer) throws Exception {
        Topics topics = new Topics("limit");
        int chunks = ChunkPart.count(4L * load.params(), ChunkPart.MAX_CHUNK_BYTES);
        try (MqttLink link = link(broker, "limit-ready")) {
            link.publish(
                    new Publication(topics.update("ready"), "ready".getBytes(), Map.of(), true));
        }
        ExecutorService threads = Executors.newFixedThreadPool(load.trainers());
        List<MqttLink> links = new ArrayList<>();
        try (consumer) {
            consumer.begin(topics, chunks * load.trainers());
            for (int i = 0; i < load.trainers(); i++) {
                links.add(link(broker, "limit-sender-" + i));
            }
            List<Callable<Void>> all = new ArrayList<>();
            for (int i = 0; i < load.trainers(); i++) {
                int trainer = i;
                all.add(
                        () -> {
                            send(links.get(trainer), topics, "t-" + trainer, chunks);
                            return null;
                        });
            }
            long start = System.nanoTime();
            for (Future<Void> future : threads.invokeAll(all)) {
                future.get();
            }
            consumer.await();
            return (System.nanoTime() - start) / 1e9;
        } finally {
            links.parallelStream().forEach(MqttLink::close);
            threads.shutdownNow();
        }
    }

    private static MqttLink link(BrokerOptions broker, String id) {
        return MqttLink.connect(
                broker,
                new MqttLink.Settings(id, 16, Optional.empty()),
                message -> message.done().run());
    }

    /** What a trainer does: its update's checksums, then its chunks. */
    private void send(MqttLink link, Topics topics, String trainer, int chunks) {
        PrivateMemory update =
                updates.computeIfAbsent(
                        trainer, t -> new PrivateMemory(chunks * ChunkPart.MAX_CHUNK_BYTES));
        int[] checksums =
                IntStream.range(0, chunks).map(i -> ChunkPart.crc(chunk(update, i))).toArray();
        link.publish(
                () ->
                        IntStream.range(0, chunks)
                                .mapToObj(
                                        i ->
                                                Publication.bytes(
                                                        topics.update(trainer),
                                                        chunk(update, i),
                                                        header(topics, trainer, checksums, i)
                                                                .toProperties(),
                                                        false))
                                .iterator());
    }

    private static ByteBuffer chunk(PrivateMemory update, int chunk) {
        return update.slice((long) chunk * ChunkPart.MAX_CHUNK_BYTES, ChunkPart.MAX_CHUNK_BYTES);
    }

    private static ChunkHeader header(Topics topics, String trainer, int[] checksums, int chunk) {
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
                        checksums.length,
                        ChunkPart.MAX_CHUNK_BYTES,
                        (long) checksums.length * ChunkPart.MAX_CHUNK_BYTES,
                        0,
                        checksums[chunk]));
    }
}
