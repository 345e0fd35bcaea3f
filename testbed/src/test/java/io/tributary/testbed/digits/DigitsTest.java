// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.tributary.operators.optimizer.FedDynHistory;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.zip.GZIPOutputStream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DigitsTest {

    @TempDir Path temp;

    private void idx(String name, boolean gzip, int count) throws IOException {
        ByteBuffer images = ByteBuffer.allocate(16 + count * 784);
        images.putInt(0x803).putInt(count).putInt(28).putInt(28);
        ByteBuffer labels = ByteBuffer.allocate(8 + count);
        labels.putInt(0x801).putInt(count);
        for (int i = 0; i < count; i++) {
            images.put(16 + i * 784, (byte) (i % 256));
            labels.put((byte) (i % 10));
        }
        write(name + "-images-idx3-ubyte", gzip, images.array());
        write(name + "-labels-idx1-ubyte", gzip, labels.array());
    }

    private void write(String name, boolean gzip, byte[] bytes) throws IOException {
        if (!gzip) {
            Files.write(temp.resolve(name), bytes);
            return;
        }
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (OutputStream out = new GZIPOutputStream(packed)) {
            out.write(bytes);
        }
        Files.write(temp.resolve(name + ".gz"), packed.toByteArray());
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void theTestPairAloneIsPartedFourToOne(boolean gzip) throws IOException {
        idx("t10k", gzip, 500);

        Digits.Split split = IdxFiles.read(temp);

        assertThat(split.train().size()).isEqualTo(400);
        assertThat(split.test().size()).isEqualTo(100);
        assertThat(split.train().pixels()[784 * 200]).isEqualTo(200 / 255f);
        assertThat(split.test().labels()[7]).isEqualTo(7);
    }

    @Test
    void withBothPairsEachHasItsUse() throws IOException {
        idx("t10k", true, 20);
        idx("train", false, 60);

        assertThat(IdxFiles.read(temp).train().size()).isEqualTo(60);
        assertThat(IdxFiles.read(temp).test().size()).isEqualTo(20);
    }

    @Test
    void damagedFilesAreNamed() throws IOException {
        assertThatThrownBy(() -> IdxFiles.read(temp)).hasMessageContaining("t10k-images");
        idx("t10k", false, 20);
        Path images = temp.resolve("t10k-images-idx3-ubyte");
        byte[] bytes = Files.readAllBytes(images);
        Files.write(images, Arrays.copyOf(bytes, bytes.length - 1));
        assertThatThrownBy(() -> IdxFiles.read(temp))
                .hasMessageContaining(images.toString())
                .hasMessageContaining("does not hold what its header says");
        Files.writeString(images, "nonsense, and quite a lot of it");
        assertThatThrownBy(() -> IdxFiles.read(temp)).hasMessageContaining("not an IDX file");
    }

    @Test
    void theSameSeedDrawsTheSameDigits() {
        assertThat(DrawnDigits.draw(30, 5).pixels()).isEqualTo(DrawnDigits.draw(30, 5).pixels());
        assertThat(DrawnDigits.draw(30, 5).pixels()).isNotEqualTo(DrawnDigits.draw(30, 6).pixels());
    }

    @Test
    void sharesPartTheDataAndSmallAlphaMakesThemUneven() {
        Digits digits = DrawnDigits.draw(2000, 1);
        Map<Double, Double> largest = new HashMap<>();
        for (double alpha : new double[] {0.1, 100}) {
            List<List<Integer>> shares = DirichletShares.of(digits.labels(), 8, alpha, 3);
            Set<Integer> all = new HashSet<>();
            shares.forEach(all::addAll);
            assertThat(all).hasSize(2000);
            assertThat(shares).allMatch(s -> !s.isEmpty());
            largest.put(
                    alpha,
                    shares.stream()
                            .mapToDouble(
                                    s ->
                                            s.stream().filter(i -> digits.labels()[i] == 3).count()
                                                    / 200.0)
                            .max()
                            .orElseThrow());
        }
        assertThat(largest.get(0.1)).isGreaterThan(0.4);
        assertThat(largest.get(100.0)).isLessThan(0.25);
    }

    /** One SGD step against the gradient taken from the loss by central differences, in float64. */
    @Test
    void gradientsAreThoseOfTheLoss() {
        Digits batch = DrawnDigits.draw(20, 2);
        DigitNetwork network = DigitNetwork.initial(4);
        Map<String, float[]> before = new HashMap<>();
        DigitNetwork.header()
                .tensors()
                .forEach(t -> before.put(t.name(), network.values(t.name())));
        float rate = 0.01f;

        network.train(batch, new DigitNetwork.Training(1, 20, rate, 0), 1);

        Random random = new Random(9);
        for (String name : before.keySet()) {
            for (int probe = 0; probe < 8; probe++) {
                int i = random.nextInt(before.get(name).length);
                double h = 1e-3;
                double slope =
                        (loss(batch, before, name, i, h) - loss(batch, before, name, i, -h))
                                / (2 * h);
                double step = (before.get(name)[i] - network.values(name)[i]) / rate;
                assertThat(step).isCloseTo(slope, Offset.offset(2e-3 + 0.02 * Math.abs(slope)));
            }
        }
    }

    private static double loss(
            Digits batch, Map<String, float[]> parameters, String changed, int index, double by) {
        double loss = 0;
        for (int n = 0; n < batch.size(); n++) {
            double[] hidden = new double[64];
            for (int j = 0; j < 64; j++) {
                double sum = at(parameters, "fc1.bias", j, changed, index, by);
                for (int p = 0; p < 784; p++) {
                    sum +=
                            at(parameters, "fc1.weight", j * 784 + p, changed, index, by)
                                    * batch.pixels()[n * 784 + p];
                }
                hidden[j] = Math.max(0, sum);
            }
            double[] logits = new double[10];
            double total = 0;
            for (int c = 0; c < 10; c++) {
                logits[c] = at(parameters, "fc2.bias", c, changed, index, by);
                for (int j = 0; j < 64; j++) {
                    logits[c] +=
                            at(parameters, "fc2.weight", c * 64 + j, changed, index, by)
                                    * hidden[j];
                }
                total += Math.exp(logits[c]);
            }
            loss += Math.log(total) - logits[batch.labels()[n]];
        }
        return loss / batch.size();
    }

    private static double at(
            Map<String, float[]> parameters,
            String name,
            int i,
            String changed,
            int index,
            double by) {
        return parameters.get(name)[i] + (name.equals(changed) && i == index ? by : 0);
    }

    @Test
    void theProximalTermHoldsTheModelBack() {
        Digits digits = DrawnDigits.draw(200, 2);
        double free = distanceAfterTraining(digits, 0);
        double held = distanceAfterTraining(digits, 1);
        assertThat(held).isLessThan(0.9 * free);
    }

    private static double distanceAfterTraining(Digits digits, float proximal) {
        DigitNetwork network = DigitNetwork.initial(4);
        float[] before = network.values("fc1.weight");
        network.train(digits, new DigitNetwork.Training(3, 20, 0.1f, proximal), 1);
        float[] after = network.values("fc1.weight");
        double sum = 0;
        for (int i = 0; i < before.length; i++) {
            sum += Math.pow(after[i] - before[i], 2);
        }
        return Math.sqrt(sum);
    }

    /** −⟨gₖ, w⟩ in the loss, so one step of SGD goes further by the rate times gₖ. */
    @Test
    void theLinearTermDrawsTheModel() {
        Digits batch = DrawnDigits.draw(20, 2);
        DigitNetwork.Training one = new DigitNetwork.Training(1, 20, 0.1f, 0);
        DigitNetwork free = DigitNetwork.initial(4);
        free.train(batch, one, 1);
        float[] g = new float[free.values("fc1.weight").length];
        g[5] = 2;
        DigitNetwork drawn = DigitNetwork.initial(4);
        drawn.train(batch, one, Map.of("fc1.weight", g), 1);
        float[] without = free.values("fc1.weight");
        float[] with = drawn.values("fc1.weight");
        assertThat(with[5] - without[5]).isEqualTo(0.2f, within(1e-5f));
        with[5] = without[5];
        assertThat(with).containsExactly(without, within(1e-6f));
    }

    /** Two trainers with 10 and 30 samples: N / Σn is 2 / 40. */
    @Test
    void aTrainerWithFewSamplesHasALargerAlpha() {
        Map<String, Double> measured = Map.of(FedDynHistory.INVERSE_SAMPLES, 2.0 / 40);
        assertThat(LocalTerms.itsAlpha(0.5f, measured, 10)).isEqualTo(1);
        assertThat(LocalTerms.itsAlpha(0.5f, measured, 30)).isCloseTo(1 / 3f, within(1e-6f));
        assertThat(LocalTerms.itsAlpha(0.5f, Map.of(), 10)).isEqualTo(0.5f);
    }
}
