// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.TensorInfo;
import io.tributary.trainer.ModelUpdate;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainingRound;
import java.nio.FloatBuffer;
import java.time.Duration;
import java.util.Optional;
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
        Optional<TrainingRound> round = client.awaitRound(PATIENCE);
        while (round.isPresent()) {
            onReceipt.accept(client.send(train(round.get())));
            round = client.awaitRound(PATIENCE);
        }
    }

    private ModelUpdate train(TrainingRound round) {
        DigitNetwork network = DigitNetwork.with(round::floats);
        double loss = network.train(data, training, seed * 31 + round.id().round());
        ModelUpdate update = round.newUpdate();
        for (TensorInfo tensor : round.header().tensors()) {
            float[] values = network.values(tensor.name());
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
}
