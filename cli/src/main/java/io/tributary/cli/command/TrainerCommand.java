// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.job.graph.WorkDirectory;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.Receipt;
import io.tributary.testbed.demo.Demo;
import io.tributary.testbed.demo.ModelFiles;
import io.tributary.testbed.digits.DigitNetwork;
import io.tributary.testbed.digits.DigitTrainer;
import io.tributary.testbed.digits.Digits;
import io.tributary.testbed.digits.DirichletShares;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerException;
import io.tributary.trainer.TrainerTransport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code tributary trainer}. */
@Command(name = "trainer", description = "Trains the digit network for a running job.")
public final class TrainerCommand implements Callable<Integer> {

    private static final int SHARES = 12;
    private static final double ALPHA = 0.5;

    private static final Duration SILENCE = Duration.ofSeconds(10);
    private static final Duration TAKEN_PATIENCE = Duration.ofSeconds(60);

    @Option(
            names = "--transport",
            paramLabel = "URI",
            description = {
                "How updates travel: mqtt://HOST:PORT (mqtts:// with TLS, ws:// and wss:// over WebSocket),",
                "kafka://HOST:PORT,HOST:PORT, or shm:[DIR][?agent-port=PORT]."
            })
    private Optional<String> uri;

    @Mixin private CredentialsArguments credentials;

    @Option(names = "--job", paramLabel = "NAME", description = "The job.")
    private Optional<String> jobName;

    @Option(names = "--group", paramLabel = "TAG", description = "Its group.")
    private Optional<String> groupTag;

    @Option(
            names = "--initial-model",
            paramLabel = "FILE",
            description = "Only writes the network's initial weights, for a job to start from.")
    private Optional<Path> initialModel;

    @Option(
            names = "--id",
            paramLabel = "ID",
            description = "Unique in the job. Default: made of the process id.")
    private Optional<String> id;

    @Mixin private DataArguments data;

    @Option(
            names = "--proximal",
            paramLabel = "MU",
            defaultValue = "0",
            description = "FedProx's μ. Default: ${DEFAULT-VALUE}.")
    private float proximal;

    @Override
    public Integer call() throws IOException, InterruptedException {
        if (!(proximal >= 0 && Float.isFinite(proximal))) {
            throw new UsageException("--proximal %s: expected 0 or more".formatted(proximal));
        }
        if (initialModel.isPresent()) {
            DigitNetwork network = DigitNetwork.initial(1);
            ModelFiles.write(initialModel.get(), DigitNetwork.header(), network::values);
            System.out.printf("%s: %d bytes%n", initialModel.get(), Files.size(initialModel.get()));
            return 0;
        }
        String job = required("--job NAME", jobName);
        String group = required("--group TAG, one of the job's topology,", groupTag);
        TrainerTransport transport =
                TrainerTransport.of(
                        required("--transport URI, such as mqtt://127.0.0.1:1883 or shm,", uri),
                        credentials.credentials());
        String name = id.orElseGet(() -> "trainer-" + ProcessHandle.current().pid());
        long seed = name.hashCode();
        Digits all = Demo.digits(data.directory(), seed).train();
        Digits share = all.select(DirichletShares.of(all.labels(), SHARES, ALPHA, seed).get(0));
        DigitNetwork.Training training =
                new DigitNetwork.Training(
                        Demo.TRAINING.epochs(),
                        Demo.TRAINING.batch(),
                        Demo.TRAINING.learningRate(),
                        proximal);
        System.out.printf("%s: connecting over %s%n", name, uri.orElseThrow());
        try (WorkDirectory work = WorkDirectory.create("trainer");
                TrainerClient client =
                        TrainerClient.builder()
                                .job(job)
                                .id(name)
                                .group(group)
                                .transport(transport)
                                .directory(work.path())
                                .evaluator(DigitTrainer.evaluator(share))
                                .connect()) {
            System.out.printf("%s: waiting for job '%s'%n", name, job);
            join(client, name);
            System.out.printf("%s: joined %s with %d images%n", name, job, share.size());
            new DigitTrainer(client, share, training, seed).run(TrainerCommand::show);
        }
        System.out.printf("%s: all rounds are done%n", name);
        return 0;
    }

    /** Who starts again under its id is rejected until the job has found its former self dead. */
    private static void join(TrainerClient client, String name) throws InterruptedException {
        long end = System.nanoTime() + TAKEN_PATIENCE.toNanos();
        boolean told = false;
        boolean silent = false;
        while (true) {
            try {
                if (client.join(SILENCE)) {
                    return;
                }
                if (!silent) {
                    silent = true;
                    System.out.printf(
                            "%s: no answer yet; is the job submitted and RUNNING (./tributary cluster status), and is --job its name?%n",
                            name);
                }
            } catch (TrainerException e) {
                if (e.reason() != RejectReason.DUPLICATE_TRAINER || System.nanoTime() > end) {
                    throw e;
                }
                if (!told) {
                    told = true;
                    System.out.printf(
                            "%s takes part already; waiting for up to %d s until that one is found dead%n",
                            name, TAKEN_PATIENCE.toSeconds());
                }
                TimeUnit.SECONDS.sleep(2);
            }
        }
    }

    private static String required(String option, Optional<String> value) {
        return value.orElseThrow(() -> new UsageException(option + " is missing"));
    }

    private static void show(Receipt receipt) {
        System.out.printf(
                "round %d: %s%n",
                receipt.round(), "%s %s".formatted(receipt.status(), receipt.text()).strip());
    }
}
