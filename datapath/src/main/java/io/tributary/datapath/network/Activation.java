// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.network;

/** What follows a hidden layer. */
public enum Activation {
    RELU {
        @Override
        double of(double x) {
            return Math.max(0, x);
        }
    },
    TANH {
        @Override
        double of(double x) {
            return Math.tanh(x);
        }
    };

    abstract double of(double x);
}
