// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.command;

import io.tributary.job.demo.Demo;
import io.tributary.job.digits.DigitNetwork;
import io.tributary.job.digits.DigitTrainer;
import io.tributary.job.digits.Digits;
import io.tributary.job.digits.DirichletShares;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.protocol.message.Receipt;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.Transport;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code tributary trainer}. */
@Command(name = "trainer", description = "Trains the digit network for a running job.")
public final class TrainerCommand implements Callable<Integer> {

    private static final int SHARES = 12;
    private static final double ALPHA = 0.5;

    @Option(
            names = "--transport",
            paramLabel = "mqtt|shm",
            defaultValue = "mqtt",
            description = "How updates travel. Default: ${DEFAULT-VALUE}.")
    private TransportName transport;

    @Mixin private BrokerArguments broker;
    @Mixin private ShmArguments shm;

    @Option(names = "--job", paramLabel = "NAME", required = true, description = "The job.")
    private String job;

    @Option(names = "--group", paramLabel = "TAG", required = true, description = "Its group.")
    private String group;

    @Option(
            names = "--id",
            paramLabel = "ID",
            description = "Unique in the job. Default: made of the process id.")
    private Optional<String> id;

    @Option(
            names = "--data",
            paramLabel = "DIR",
            description = "MNIST's IDX files; without, digits are drawn.")
    private Optional<Path> data;

    @Option(
            names = "--proximal",
            paramLabel = "MU",
            defaultValue = "0",
            description = "FedProx's μ. Default: ${DEFAULT-VALUE}.")
    private float proximal;

    @Override
    public Integer call() {
        if (!(proximal >= 0 && Float.isFinite(proximal))) {
            throw new UsageException("--proximal %s: expected 0 or more".formatted(proximal));
        }
        Transport address =
                transport == TransportName.MQTT
                        ? Transport.mqtt(broker.options())
                        : Transport.shm(shm.directory(), shm.agentPort());
        String name = id.orElseGet(() -> "trainer-" + ProcessHandle.current().pid());
        long seed = name.hashCode();
        Digits all = Demo.digits(data, seed).train();
        Digits share = all.select(DirichletShares.of(all.labels(), SHARES, ALPHA, seed).get(0));
        DigitNetwork.Training training =
                new DigitNetwork.Training(
                        Demo.TRAINING.epochs(),
                        Demo.TRAINING.batch(),
                        Demo.TRAINING.learningRate(),
                        proximal);
        System.out.printf(
                "%s: connecting to %s%n",
                name, transport == TransportName.MQTT ? broker.options() : shm.directory());
        try (WorkDirectory work = WorkDirectory.create("trainer");
                TrainerClient client =
                        TrainerClient.builder()
                                .job(job)
                                .id(name)
                                .group(group)
                                .transport(address)
                                .directory(work.path())
                                .connect()) {
            System.out.printf("%s: waiting for job '%s'%n", name, job);
            client.join();
            System.out.printf("%s: joined %s with %d images%n", name, job, share.size());
            new DigitTrainer(client, share, training, seed).run(TrainerCommand::show);
        }
        System.out.printf("%s: all rounds are done%n", name);
        return 0;
    }

    private static void show(Receipt receipt) {
        System.out.printf(
                "round %d: %s%n",
                receipt.round(), "%s %s".formatted(receipt.status(), receipt.text()).strip());
    }
}
