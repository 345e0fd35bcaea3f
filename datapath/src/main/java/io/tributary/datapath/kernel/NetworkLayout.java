// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import io.tributary.datapath.network.Activation;
import io.tributary.datapath.network.IntegerNetwork;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/**
 * A slot of the kernel's table: {@code struct network} in bpf/policy.h, little-endian. Rows have
 * the width of the largest network, and what a smaller one lacks is zero.
 */
final class NetworkLayout {

    /** Slots of the table. */
    static final int SLOTS = 8;

    static final int INPUTS = 32;
    static final int OUTPUTS = 2;

    /** What is added to each number between two layers. */
    private static final int OFFSET = 32768;

    /** Inputs of each layer. */
    private static final List<Integer> FROM = List.of(INPUTS, 32, 16);

    /** Outputs of each layer. */
    private static final List<Integer> TO = List.of(32, 16, OUTPUTS);

    private static final int LAYERS_AT = Long.BYTES;
    private static final int LAYER_BYTES = 2 * Long.BYTES + 2 * Integer.BYTES;
    private static final int BIASES_AT = LAYERS_AT + 3 * LAYER_BYTES;
    private static final int WEIGHTS_AT = BIASES_AT + (32 + 16 + OUTPUTS) / 2 * Long.BYTES;

    /** Of a slot. */
    static final int BYTES = WEIGHTS_AT + (16 * INPUTS + 8 * 32 + 16) * Long.BYTES;

    private NetworkLayout() {}

    /**
     * A network as a slot has it.
     *
     * @param id by which the kernel knows it
     */
    static byte[] bytes(IntegerNetwork network, long id) {
        ByteBuffer slot = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
        slot.putLong(0, id);
        int biases = BIASES_AT;
        int weights = WEIGHTS_AT;
        for (int i = 0; i < network.layers().size(); i++) {
            IntegerNetwork.Linear layer = network.layers().get(i);
            boolean tanh = i < 2 && network.activation() == Activation.TANH;
            int at = LAYERS_AT + i * LAYER_BYTES;
            slot.putLong(at, layer.multiplier());
            slot.putLong(at + Long.BYTES, 1L << layer.shift() - 1);
            slot.putInt(at + 2 * Long.BYTES, layer.shift());
            slot.putInt(at + 2 * Long.BYTES + Integer.BYTES, tanh ? 1 : 0);
            for (int pair = 0; pair < TO.get(i) / 2; pair++) {
                int low = 2 * pair;
                slot.putLong(biases, packed(bias(layer, low), bias(layer, low + 1)));
                biases += Long.BYTES;
                for (int from = 0; from < FROM.get(i); from++) {
                    slot.putLong(
                            weights,
                            packed(weight(layer, low, from), weight(layer, low + 1, from)));
                    weights += Long.BYTES;
                }
            }
        }
        return slot.array();
    }

    /** Two numbers in one, of which the higher pays what the lower borrows. */
    private static long packed(long low, long high) {
        return low + (high << Integer.SIZE);
    }

    private static int weight(IntegerNetwork.Linear layer, int neuron, int from) {
        boolean there = neuron < layer.weights().length && from < layer.weights()[neuron].length;
        return there ? layer.weights()[neuron][from] : 0;
    }

    /** Without what the offset of its inputs adds. */
    private static long bias(IntegerNetwork.Linear layer, int neuron) {
        if (neuron >= layer.weights().length) {
            return 0;
        }
        long bias = layer.bias()[neuron];
        for (int weight : layer.weights()[neuron]) {
            bias -= (long) OFFSET * weight;
        }
        return bias;
    }
}
