// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Receipt.Status;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.TensorInfo;
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
        Map<String, float[]> gradients = Map.of();
        Optional<TrainingRound> round = client.awaitRound(PATIENCE);
        while (round.isPresent()) {
            Trained trained = train(round.get(), gradients);
            Receipt receipt = client.send(trained.update());
            // The server's part counts what counts.
            if (receipt.status() == Status.COMMITTED || receipt.status() == Status.DUPLICATE) {
                gradients = trained.gradients();
            }
            onReceipt.accept(receipt);
            round = client.awaitRound(PATIENCE);
        }
    }

    /**
     * What a training gave.
     *
     * @param update to be sent
     * @param gradients FedDyn's gₖ by tensor after it; empty with another algorithm
     */
    private record Trained(ModelUpdate update, Map<String, float[]> gradients) {}

    /**
     * FedDyn's gₖ after a training (Acar et al., ICLR 2021, algorithm 1).
     *
     * @param before the same before it; null for zeros
     * @param trained the trained values
     * @param start those of before
     */
    static float[] gradient(float[] before, float alpha, float[] trained, FloatBuffer start) {
        float[] after = before == null ? new float[trained.length] : before.clone();
        for (int i = 0; i < after.length; i++) {
            after[i] -= alpha * (trained[i] - start.get(i));
        }
        return after;
    }

    private Trained train(TrainingRound round, Map<String, float[]> gradients) {
        DigitNetwork network = DigitNetwork.with(round::floats);
        float alpha = number(round, Algorithm.DYNAMIC_ALPHA, 0);
        // FedDyn's quadratic term is FedProx's.
        float proximal =
                alpha > 0 ? alpha : number(round, Algorithm.PROXIMAL_MU, training.proximal());
        double loss =
                network.train(
                        data, training.with(proximal), gradients, seed * 31 + round.id().round());
        Map<String, float[]> after = new TreeMap<>();
        ModelUpdate update = round.newUpdate();
        for (TensorInfo tensor : round.header().tensors()) {
            float[] values = network.values(tensor.name());
            if (alpha > 0) {
                after.put(
                        tensor.name(),
                        gradient(
                                gradients.get(tensor.name()),
                                alpha,
                                values,
                                round.floats(tensor.name())));
            }
            if (round.kind() == UpdateKind.DELTA) {
                FloatBuffer start = round.floats(tensor.name());
                for (int i = 0; i < values.length; i++) {
                    values[i] -= start.get(i);
                }
            }
            update.floats(tensor.name()).put(values);
        }
        return new Trained(update.samples(data.size()).metric("loss", loss), after);
    }

    private static float number(TrainingRound round, String name, float otherwise) {
        return round.config().get(name) instanceof Number number ? number.floatValue() : otherwise;
    }
}
