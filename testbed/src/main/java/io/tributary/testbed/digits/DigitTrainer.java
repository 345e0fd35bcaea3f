// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import io.tributary.operators.optimizer.FedGft;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.protocol.tensor.TensorSets;
import io.tributary.protocol.tensor.UpdateTensors;
import io.tributary.trainer.ModelEvaluator;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.nio.FloatBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * Trains the digit network for a job, round after round, until the job is done.
 *
 * @param client a client that has joined
 * @param data this trainer's share
 * @param training how to train
 * @param seed of the order of images
 */
public record DigitTrainer(
        TrainerClient client, Digits data, DigitNetwork.Training training, long seed) {

    private static final Duration PATIENCE = Duration.ofHours(1);

    /** Trains until all rounds are done. */
    public void run(Consumer<Receipt> onReceipt) {
        LocalTerms terms = LocalTerms.NONE;
        Map<String, float[]> own = new TreeMap<>();
        Optional<TrainingRound> round = client.awaitRound(PATIENCE);
        while (round.isPresent()) {
            Trained trained = train(round.get(), terms, own);
            Receipt receipt = client.send(trained.update());
            // The server's part counts what counts.
            if (receipt.status() == Status.COMMITTED || receipt.status() == Status.DUPLICATE) {
                terms = trained.terms();
            }
            onReceipt.accept(receipt);
            round = client.awaitRound(PATIENCE);
        }
    }

    /** Says what a model is worth on a share of the data, and how fair it is if that is asked. */
    public static ModelEvaluator evaluator(Digits data) {
        return round -> {
            DigitNetwork network = DigitNetwork.with(round::floats);
            Map<String, Double> metrics = new TreeMap<>();
            metrics.put("accuracy", network.accuracy(data));
            metrics.put("loss", network.loss(data));
            if (round.config().get(FedGft.FAIRNESS) instanceof String kind) {
                metrics.putAll(
                        Fairness.statistics(
                                FedGft.Fairness.valueOf(kind), network.predicted(data), data));
            }
            return new ModelEvaluator.Result(data.size(), metrics);
        };
    }

    /**
     * What a training gave.
     *
     * @param update to be sent
     * @param terms with which the next one begins
     */
    private record Trained(ModelUpdate update, LocalTerms terms) {}

    /**
     * Trains for a round.
     *
     * @param own tensors that never leave this trainer, as it has trained them last; is changed
     */
    private Trained train(TrainingRound round, LocalTerms terms, Map<String, float[]> own) {
        UpdateTensors sent = round.expected().tensors();
        DigitNetwork network =
                DigitNetwork.with(
                        name ->
                                sent.isPersonal(name) && own.containsKey(name)
                                        ? FloatBuffer.wrap(own.get(name))
                                        : LocalTerms.start(round, name));
        Map<String, float[]> start = new TreeMap<>();
        round.tensors().forEach(its -> start.put(its.name(), network.values(its.name())));
        double before = network.loss(data);
        double loss =
                network.train(
                        data,
                        training.with(LocalTerms.proximal(round, data.size(), training.proximal())),
                        terms.taken(round, data.size()),
                        Fairness.of(round),
                        seed * 31 + round.id().round());
        LocalTerms after = terms.after(round, start, network::values, training, data.size());
        ModelUpdate update = round.newUpdate();
        for (TensorInfo tensor : round.tensors()) {
            if (sent.isPersonal(tensor.name())) {
                own.put(tensor.name(), network.values(tensor.name()));
                continue;
            }
            put(update, round, tensor.name(), network.values(tensor.name()));
            for (String set : round.expected().sets()) {
                String name = TensorSets.prefix(set) + tensor.name();
                if (after.sent().containsKey(name)) {
                    put(update, round, name, after.sent().get(name));
                }
            }
        }
        update.samples(data.size())
                .metric("loss", loss)
                .metric("loss-before", before)
                .metric("steps", training.steps(data.size()));
        return new Trained(update, after);
    }

    private static void put(ModelUpdate update, TrainingRound round, String name, float[] values) {
        float[] sent = values.clone();
        if (round.kind() == UpdateKind.DELTA) {
            FloatBuffer start = round.floats(name);
            for (int i = 0; i < sent.length; i++) {
                sent[i] -= start.get(i);
            }
        }
        update.floats(name).put(sent);
    }
}
