# SPDX-License-Identifier: Apache-2.0
"""What clients of a simulation do: a small network in NumPy, on scikit-learn's digits.

    ./tributary simulate --clients 100 --app trainer-client/python/examples/simulate_digits.py

The network has one hidden layer: 64 → 32 → 10, softmax, cross-entropy, plain SGD.
"""

import numpy as np
from digits import share, test_set

HIDDEN, BATCH = 32, 32


def data(directory):
    """The digits to train with, and those to test with."""
    return share("1/1"), test_set()


def model(seed):
    random = np.random.default_rng(seed)
    return {
        "fc1.weight": random.normal(0, 0.1, (64, HIDDEN)).astype(np.float32),
        "fc1.bias": np.zeros(HIDDEN, np.float32),
        "fc2.weight": random.normal(0, 0.1, (HIDDEN, 10)).astype(np.float32),
        "fc2.bias": np.zeros(10, np.float32),
    }


def forward(w, images):
    hidden = np.maximum(images @ w["fc1.weight"] + w["fc1.bias"], 0)
    scores = hidden @ w["fc2.weight"] + w["fc2.bias"]
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, scores / scores.sum(axis=1, keepdims=True)


def loss(probabilities, labels):
    mine = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(mine, 1e-12)).mean())


def train(w, data, config, seed):
    """Some epochs over a client's digits. Returns the tensors and the last epoch's loss."""
    images, labels = data
    random, rate = np.random.default_rng(seed), config.get("lr", 0.1)
    losses = []
    for _ in range(config.get("local-epochs", 1)):
        order = random.permutation(len(labels))
        losses = []
        for begin in range(0, len(order), BATCH):
            members = order[begin : begin + BATCH]
            x, y = images[members], labels[members]
            hidden, out = forward(w, x)
            losses.append(loss(out, y))
            out[np.arange(len(y)), y] -= 1
            out /= len(y)
            back = (out @ w["fc2.weight"].T) * (hidden > 0)
            w["fc2.weight"] -= rate * hidden.T @ out
            w["fc2.bias"] -= rate * out.sum(axis=0)
            w["fc1.weight"] -= rate * x.T @ back
            w["fc1.bias"] -= rate * back.sum(axis=0)
    return w, {"loss": float(np.mean(losses))}


def evaluate(w, data):
    images, labels = data
    _, probabilities = forward(w, images)
    right = probabilities.argmax(axis=1) == labels
    return {"accuracy": float(right.mean()), "loss": loss(probabilities, labels)}
