// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import io.tributary.operators.optimizer.Algorithm;
import io.tributary.protocol.message.Receipt;
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
        Map<String, float[]> gradients = new TreeMap<>();
        Optional<TrainingRound> round = client.awaitRound(PATIENCE);
        while (round.isPresent()) {
            onReceipt.accept(client.send(train(round.get(), gradients)));
            round = client.awaitRound(PATIENCE);
        }
    }

    /**
     * Trains once.
     *
     * @param gradients FedDyn's gₖ by tensor, with which the trainer remembers where it was drawn
     *     to; changed where the job's algorithm is that
     */
    private ModelUpdate train(TrainingRound round, Map<String, float[]> gradients) {
        DigitNetwork network = DigitNetwork.with(round::floats);
        float alpha = number(round, Algorithm.DYNAMIC_ALPHA, 0);
        // FedDyn's quadratic term is FedProx's.
        float proximal =
                alpha > 0 ? alpha : number(round, Algorithm.PROXIMAL_MU, training.proximal());
        double loss =
                network.train(
                        data, training.with(proximal), gradients, seed * 31 + round.id().round());
        ModelUpdate update = round.newUpdate();
        for (TensorInfo tensor : round.header().tensors()) {
            float[] values = network.values(tensor.name());
            if (alpha > 0) {
                float[] g =
                        gradients.computeIfAbsent(tensor.name(), any -> new float[values.length]);
                FloatBuffer start = round.floats(tensor.name());
                for (int i = 0; i < g.length; i++) {
                    g[i] -= alpha * (values[i] - start.get(i));
                }
            }
            if (round.kind() == UpdateKind.DELTA) {
                FloatBuffer start = round.floats(tensor.name());
                for (int i = 0; i < values.length; i++) {
                    values[i] -= start.get(i);
                }
            }
            update.floats(tensor.name()).put(values);
        }
        return update.samples(data.size()).metric("loss", loss);
    }

    private static float number(TrainingRound round, String name, float otherwise) {
        return round.config().get(name) instanceof Number number ? number.floatValue() : otherwise;
    }
}
