// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.job.graph.AggregationGraph;
import io.tributary.job.graph.FederationJob;
import io.tributary.job.graph.KafkaTransport;
import io.tributary.job.graph.LocalFlink;
import io.tributary.job.graph.Publish;
import io.tributary.job.graph.TreeSchemas;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.node.agent.FreePorts;
import io.tributary.operators.coordinator.RoundRules;
import io.tributary.operators.coordinator.Surroundings;
import io.tributary.operators.model.ModelSpec;
import io.tributary.operators.model.PosixModelStore;
import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.JavaProcess;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.transport.kafka.KafkaHeaders;
import io.tributary.transport.kafka.KafkaTopics;
import io.tributary.transport.kafka.TopicSetup;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.zip.CRC32C;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * A round's updates are committed to Kafka in one transaction, so a job sees them all at once; it
 * reads, checks, stages and folds them, timed until the top has the sum. The limit is Kafka's own
 * {@code kafka-consumer-perf-test} on the same topic, in a process of its own.
 */
final class KafkaBench {

    /** Known before the job starts, because its updates are there before it. */
    private static final Run RUN = Run.draw();

    private static final List<String> GROUPS = List.of("a", "b", "c");

    private final Load load;
    private final int limits;
    private final Path parent;

    /**
     * @param limits how often the limit is measured
     */
    KafkaBench(Load load, int limits, Path parent) {
        this.load = load;
        this.limits = limits;
        this.parent = parent;
    }

    List<Figure> run() throws Exception {
        KafkaTopics topics = new KafkaTopics("bench");
        try (WorkDirectory work = WorkDirectory.create("bench");
                WorkDirectory regions = WorkDirectory.create(parent, "bench");
                KafkaProcess kafka = KafkaProcess.start(work.path().resolve("kafka"))) {
            TopicSetup.ensure(kafka.options(), topics);
            Path model =
                    LiveRounds.model(work.path().resolve("model-0.safetensors"), load.params());
            byte[] update = Files.readAllBytes(model);
            List<Double> ours = new ArrayList<>();
            try (LocalFlink flink = LocalFlink.start(Optional.of(FreePorts.next()), work.path());
                    KafkaProducer<byte[], byte[]> producer = producer(kafka)) {
                start(flink, kafka, topics, model, work.path(), regions.path());
                producer.initTransactions();
                for (int round = 1; round <= load.warmUp() + load.rounds(); round++) {
                    producer.beginTransaction();
                    produce(producer, topics, round, update);
                    long start = System.nanoTime();
                    // Until now the job has seen nothing of it.
                    producer.commitTransaction();
                    double seconds = (TopProbe.await(round).nanos() - start) / 1e9;
                    if (round > load.warmUp()) {
                        ours.add((double) update.length * load.trainers() / seconds / 1e9);
                    }
                }
            }
            List<Double> perfTests = new ArrayList<>();
            int records =
                    load.trainers() * ChunkPart.count(update.length, ChunkPart.MAX_CHUNK_BYTES);
            for (int repeat = 0; repeat < limits; repeat++) {
                perfTests.add(limit(kafka, topics, load.rounds() * records, work.path(), repeat));
            }
            return List.of(
                    Figure.more("Kafka, end to end", "GB/s", ours)
                            .beside("kafka-consumer-perf-test", perfTests));
        }
    }

    private static KafkaProducer<byte[], byte[]> producer(KafkaProcess kafka) {
        Properties properties = kafka.options().producer();
        properties.put("transactional.id", "bench");
        return new KafkaProducer<>(properties);
    }

    private void produce(
            KafkaProducer<byte[], byte[]> producer, KafkaTopics topics, int round, byte[] update) {
        int chunks = ChunkPart.count(update.length, ChunkPart.MAX_CHUNK_BYTES);
        CRC32C crc = new CRC32C();
        crc.update(update);
        for (int chunk = 0; chunk < chunks; chunk++) {
            int from = chunk * ChunkPart.MAX_CHUNK_BYTES;
            byte[] part =
                    Arrays.copyOfRange(
                            update,
                            from,
                            Math.min(update.length, from + ChunkPart.MAX_CHUNK_BYTES));
            for (int trainer = 0; trainer < load.trainers(); trainer++) {
                ChunkHeader header =
                        new ChunkHeader(
                                topics.job(),
                                "t-" + trainer,
                                round,
                                0,
                                "bench",
                                RUN.token("t-" + trainer, "bench"),
                                1,
                                1 + trainer,
                                UpdateKind.WEIGHTS,
                                Map.of(),
                                new ChunkPart(
                                        chunk,
                                        chunks,
                                        ChunkPart.MAX_CHUNK_BYTES,
                                        update.length,
                                        (int) crc.getValue(),
                                        ChunkPart.crc(ByteBuffer.wrap(part))));
                producer.send(
                        new ProducerRecord<>(
                                topics.updates(),
                                null,
                                ("t-" + trainer).getBytes(),
                                part,
                                KafkaHeaders.of(header.toProperties())));
            }
        }
        producer.flush();
    }

    /** GB/s of the column {@code fetch.MB.sec}, which leaves the group's rebalancing out. */
    private static double limit(
            KafkaProcess kafka, KafkaTopics topics, int records, Path work, int repeat)
            throws Exception {
        Path log = work.resolve("perf-%d.out".formatted(repeat));
        ChildProcess perf =
                JavaProcess.start(
                        JavaProcess.Command.here(
                                List.of("-Xmx512m"),
                                "org.apache.kafka.tools.ConsumerPerformance",
                                List.of(
                                        "--bootstrap-server",
                                        kafka.options().bootstrapServers(),
                                        "--topic",
                                        topics.updates(),
                                        "--num-records",
                                        Integer.toString(records),
                                        "--timeout",
                                        "60000")),
                        log);
        if (!perf.await(300) || perf.exitCode().orElse(1) != 0) {
            throw new IllegalStateException("kafka-consumer-perf-test:\n" + perf.logTail());
        }
        List<String> lines = Files.readAllLines(log);
        List<String> names = List.of();
        for (String line : lines) {
            List<String> values = List.of(line.split(",\\s*"));
            if (values.contains("fetch.MB.sec")) {
                names = values;
            } else if (!names.isEmpty() && values.size() == names.size()) {
                return Double.parseDouble(values.get(names.indexOf("fetch.MB.sec")))
                        * 1.048576
                        / 1e3;
            }
        }
        throw new IllegalStateException("kafka-consumer-perf-test:\n" + perf.logTail());
    }

    private void start(
            LocalFlink flink,
            KafkaProcess kafka,
            KafkaTopics topics,
            Path model,
            Path work,
            Path regions)
            throws Exception {
        Map<String, String> cohort = new LinkedHashMap<>();
        var topology = TreeSchemas.of(load.levels(), GROUPS, 1);
        List<String> groups = topology.trainerGroups();
        for (int i = 0; i < load.trainers(); i++) {
            cohort.put("t-" + i, groups.get(i % groups.size()));
        }
        Configuration configuration = new Configuration();
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, load.checkpoints());
        flink.environment().configure(configuration);
        AggregationGraph graph =
                new AggregationGraph(
                        topics.job(),
                        RUN,
                        topology,
                        new RoundRules(
                                load.warmUp() + load.rounds(),
                                new RoundRules.Quorum(load.trainers(), load.trainers()),
                                new RoundRules.Patience(
                                        Duration.ZERO, Duration.ZERO, Duration.ofHours(1)),
                                new RoundRules.Folding(
                                        RoundRules.Timing.EAGER,
                                        UpdateKind.WEIGHTS,
                                        Algorithm.FEDAVG,
                                        true),
                                cohort,
                                RoundRules.Limits.DEFAULT),
                        new ModelSpec(
                                model.toString(),
                                ModelSpec.DEFAULT_SHARD_ELEMENTS,
                                UpdateKind.WEIGHTS),
                        PosixModelStore.at(work.resolve("models")),
                        new Surroundings.Known(0));
        TopProbe.reset(graph.model().layout().shards(), flink);
        new FederationJob(
                        graph,
                        List.of(new KafkaTransport(kafka.options(), load.staging(regions), true)),
                        Publish.COMMITTED)
                .build(flink.environment(), shard -> TopProbe.shard(shard.round().round()));
        flink.submit(topics.job());
    }
}
