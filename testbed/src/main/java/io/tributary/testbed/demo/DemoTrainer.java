// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.job.graph.WorkDirectory;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.testbed.digits.DigitTrainer;
import io.tributary.testbed.digits.Digits;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.PythonProcess;
import io.tributary.trainer.TrainerClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A trainer of the demo.
 *
 * @param id its id
 * @param group under which the topology places it
 * @param uri how it reaches the job
 * @param share what it trains on
 * @param seed of the order of images
 */
record DemoTrainer(String id, String group, String uri, Digits share, long seed) {

    private static final String SCRIPT = "examples/digits_numpy.py";
    private static final long PATIENCE_SECONDS = Long.MAX_VALUE;

    /** Trains in this process until all rounds are done. */
    Void train(WorkDirectory work) throws IOException {
        try (TrainerClient client =
                TrainerClient.builder()
                        .job(Demo.JOB)
                        .id(id)
                        .group(group)
                        .transport(uri)
                        .directory(work.directory(id))
                        .evaluator(DigitTrainer.evaluator(share))
                        .connect()) {
            client.join();
            new DigitTrainer(client, share, Demo.TRAINING, seed).run(receipt -> {});
        }
        return null;
    }

    /** The same in a process of its own, in Python. */
    Void train(PythonProcess python, WorkDirectory work) throws IOException {
        Path data = work.path().resolve(id + ".safetensors");
        write(data);
        List<String> arguments =
                List.of(
                        uri,
                        "--job",
                        Demo.JOB,
                        "--id",
                        id,
                        "--group",
                        group,
                        "--data",
                        data.toString(),
                        "--seed",
                        Long.toString(seed));
        Path log = work.path().resolve(id + ".log");
        try (ChildProcess process = python.start(List.of(), SCRIPT, arguments, log)) {
            process.await(PATIENCE_SECONDS);
            if (process.exitCode().orElse(0) != 0) {
                throw new IllegalStateException(
                        "trainer %s has ended:%n%s".formatted(id, process.logTail()));
            }
        }
        return null;
    }

    private void write(Path file) throws IOException {
        SafetensorsHeader header =
                SafetensorsHeader.create(
                        List.of(
                                SafetensorsHeader.tensor(
                                        "labels", DType.I64, share.labels().length),
                                SafetensorsHeader.tensor(
                                        "images", DType.F32, share.size(), Digits.PIXELS)),
                        Map.of());
        ByteBuffer bytes =
                ByteBuffer.allocate(Math.toIntExact(header.fileLength()))
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .put(header.bytes());
        for (int label : share.labels()) {
            bytes.putLong(label);
        }
        bytes.asFloatBuffer().put(share.pixels());
        Files.write(file, bytes.array());
    }
}
