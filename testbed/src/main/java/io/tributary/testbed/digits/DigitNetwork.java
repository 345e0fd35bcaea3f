// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * A network with one hidden layer of rectified units: 784 → 64 → 10, softmax, cross-entropy, plain
 * SGD. Tensors are named and shaped as PyTorch's {@code nn.Linear} has them: weights [out, in]. Not
 * thread-safe.
 */
public final class DigitNetwork {

    private static final int HIDDEN = 64;

    private final Map<String, INDArray> parameters = new LinkedHashMap<>();

    private DigitNetwork() {}

    /** The tensors' header. */
    public static SafetensorsHeader header() {
        return SafetensorsHeader.create(
                List.of(
                        SafetensorsHeader.tensor("fc1.bias", DType.F32, HIDDEN),
                        SafetensorsHeader.tensor("fc1.weight", DType.F32, HIDDEN, Digits.PIXELS),
                        SafetensorsHeader.tensor("fc2.bias", DType.F32, Digits.CLASSES),
                        SafetensorsHeader.tensor("fc2.weight", DType.F32, Digits.CLASSES, HIDDEN)),
                Map.of("format", "pt"));
    }

    /** With He et al.'s initial weights (2015) and zero biases. */
    public static DigitNetwork initial(long seed) {
        Random random = new Random(seed);
        return with(
                name -> {
                    int fanIn = name.startsWith("fc1") ? Digits.PIXELS : HIDDEN;
                    FloatBuffer values = FloatBuffer.allocate(length(name));
                    for (int i = 0; i < values.capacity() && name.endsWith("weight"); i++) {
                        values.put(i, (float) (random.nextGaussian() * Math.sqrt(2.0 / fanIn)));
                    }
                    return values;
                });
    }

    /** With the given parameters, which are copied. */
    public static DigitNetwork with(Function<String, FloatBuffer> parameters) {
        DigitNetwork network = new DigitNetwork();
        header().tensors()
                .forEach(
                        t -> {
                            float[] values = new float[(int) t.elements()];
                            parameters.apply(t.name()).duplicate().get(values);
                            long[] shape = t.shape().stream().mapToLong(Long::longValue).toArray();
                            network.parameters.put(
                                    t.name(), Nd4j.create(values, shape, DataType.FLOAT));
                        });
        return network;
    }

    private static int length(String name) {
        return (int)
                header().tensors().stream()
                        .filter(t -> t.name().equals(name))
                        .findFirst()
                        .orElseThrow()
                        .elements();
    }

    /** The values of a parameter, in row-major order. */
    public float[] values(String name) {
        return parameters.get(name).dup('c').data().asFloat();
    }

    /**
     * How to train.
     *
     * @param epochs passes over the data
     * @param batch images of a mini-batch
     * @param learningRate of SGD
     * @param proximal FedProx's μ (Li et al., MLSys 2020, equation 2); 0 for none
     */
    public record Training(int epochs, int batch, float learningRate, float proximal) {

        /** Steps of SGD that so many images take. */
        public int steps(int images) {
            return epochs * ((images + batch - 1) / batch);
        }

        /** The same with another μ. */
        public Training with(float mu) {
            return new Training(epochs, batch, learningRate, mu);
        }
    }

    /**
     * What holds the training.
     *
     * @param start where it began, by parameter
     * @param gradients what is taken from the gradient, by parameter; where there is none, nothing
     * @param fairness FedGFT's term
     */
    private record Hold(
            Map<String, INDArray> start,
            Map<String, INDArray> gradients,
            Optional<Fairness> fairness) {}

    /**
     * Trains on all of {@code data}.
     *
     * @return the mean loss of the last pass
     */
    public double train(Digits data, Training training, long seed) {
        return train(data, training, Map.of(), seed);
    }

    /**
     * The same with FedDyn's linear term (Acar et al., ICLR 2021, algorithm 1): −⟨gₖ, w⟩.
     *
     * @param gradients gₖ by parameter, in row-major order; may be empty
     */
    public double train(Digits data, Training training, Map<String, float[]> gradients, long seed) {
        return train(data, training, gradients, Optional.empty(), seed);
    }

    /** The same with FedGFT's term. */
    double train(
            Digits data,
            Training training,
            Map<String, float[]> gradients,
            Optional<Fairness> fairness,
            long seed) {
        Random random = new Random(seed);
        Map<String, INDArray> start = new LinkedHashMap<>();
        parameters.forEach((name, value) -> start.put(name, value.dup()));
        Map<String, INDArray> linear = new LinkedHashMap<>();
        gradients.forEach(
                (name, g) ->
                        linear.put(
                                name,
                                Nd4j.create(g, parameters.get(name).shape(), DataType.FLOAT)));
        Hold hold = new Hold(start, linear, fairness);
        double loss = 0;
        for (int epoch = 0; epoch < training.epochs(); epoch++) {
            List<Integer> order = new ArrayList<>(IntStream.range(0, data.size()).boxed().toList());
            Collections.shuffle(order, random);
            loss = 0;
            for (int at = 0; at < order.size(); at += training.batch()) {
                List<Integer> members =
                        order.subList(at, Math.min(order.size(), at + training.batch()));
                loss += step(data.select(members), training, hold) * members.size();
            }
            loss /= data.size();
        }
        return loss;
    }

    private double step(Digits batch, Training training, Hold hold) {
        INDArray x = images(batch);
        INDArray hidden = hidden(x);
        INDArray probabilities = Transforms.softmax(output(hidden));
        INDArray gradient = probabilities.dup();
        double loss = 0;
        for (int i = 0; i < batch.size(); i++) {
            int label = batch.labels()[i];
            loss -= Math.log(Math.max(1e-12, probabilities.getDouble(i, label)));
            gradient.putScalar(i, label, gradient.getDouble(i, label) - 1);
        }
        hold.fairness().ifPresent(its -> pull(its, batch, probabilities, gradient));
        gradient.divi(batch.size());
        INDArray hiddenGradient =
                gradient.mmul(parameters.get("fc2.weight"))
                        .muli(hidden.gt(0).castTo(DataType.FLOAT));
        descend("fc2.weight", gradient.transpose().mmul(hidden), training, hold);
        descend("fc2.bias", gradient.sum(0), training, hold);
        descend("fc1.weight", hiddenGradient.transpose().mmul(x), training, hold);
        descend("fc1.bias", hiddenGradient.sum(0), training, hold);
        return loss / batch.size();
    }

    /** Adds the gradient of what is predicted, which is s·(1 − p) for favourable classes s. */
    private static void pull(
            Fairness fairness, Digits batch, INDArray probabilities, INDArray gradient) {
        for (int i = 0; i < batch.size(); i++) {
            double weight =
                    fairness.weight(
                            Fairness.second(batch, i), Fairness.favourable(batch.labels()[i]));
            double predicted = predicted(probabilities, i);
            for (int j = 0; j < probabilities.columns(); j++) {
                double change = (Fairness.favourable(j) ? 1 : 0) - predicted;
                gradient.putScalar(
                        i,
                        j,
                        gradient.getDouble(i, j) + weight * probabilities.getDouble(i, j) * change);
            }
        }
    }

    private static double predicted(INDArray probabilities, int image) {
        double sum = 0;
        for (int j = 0; j < probabilities.columns(); j++) {
            sum += Fairness.favourable(j) ? probabilities.getDouble(image, j) : 0;
        }
        return sum;
    }

    /** How likely the favourable outcome is, for each image. */
    double[] predicted(Digits data) {
        INDArray probabilities = Transforms.softmax(output(hidden(images(data))));
        return IntStream.range(0, data.size())
                .mapToDouble(i -> predicted(probabilities, i))
                .toArray();
    }

    private void descend(String name, INDArray gradient, Training training, Hold hold) {
        INDArray value = parameters.get(name);
        if (training.proximal() != 0) {
            gradient.addi(value.sub(hold.start().get(name)).muli(training.proximal()));
        }
        if (hold.gradients().containsKey(name)) {
            gradient.subi(hold.gradients().get(name));
        }
        value.subi(gradient.muli(training.learningRate()));
    }

    private static INDArray images(Digits digits) {
        return Nd4j.create(
                digits.pixels(), new long[] {digits.size(), Digits.PIXELS}, DataType.FLOAT);
    }

    private INDArray hidden(INDArray x) {
        return Transforms.relu(
                x.mmul(parameters.get("fc1.weight").transpose())
                        .addiRowVector(parameters.get("fc1.bias")),
                false);
    }

    private INDArray output(INDArray hidden) {
        return hidden.mmul(parameters.get("fc2.weight").transpose())
                .addiRowVector(parameters.get("fc2.bias"));
    }

    /** The mean loss. */
    public double loss(Digits data) {
        INDArray probabilities = Transforms.softmax(output(hidden(images(data))));
        double loss = 0;
        for (int i = 0; i < data.size(); i++) {
            loss -= Math.log(Math.max(1e-12, probabilities.getDouble(i, data.labels()[i])));
        }
        return loss / data.size();
    }

    /** The part of {@code data} that is classified rightly, 0 to 1. */
    public double accuracy(Digits data) {
        INDArray guesses = output(hidden(images(data))).argMax(1);
        int right = 0;
        for (int i = 0; i < data.size(); i++) {
            if (guesses.getInt(i) == data.labels()[i]) {
                right++;
            }
        }
        return (double) right / data.size();
    }
}
