# SPDX-License-Identifier: Apache-2.0
"""A trainer of the demo's digits, in NumPy alone.

    python trainer-client/python/examples/digits_numpy.py mqtt://127.0.0.1:1883 --id t-1 --group us

The network has one hidden layer: 784 → 64 → 10, softmax, cross-entropy, plain SGD, as in
``./tributary demo``. Without ``--data`` it trains on scikit-learn's digits, drawn larger.
"""

import argparse
import logging
import os

import fairness
import numpy as np
import safetensors.numpy
from local_terms import LocalTerms

import tributary

EPOCHS, BATCH, LEARNING_RATE = 2, 32, 0.1

#: For FedGFT, made up as in ``./tributary demo``: a digit from 5 on is the favourable outcome, and
#: images of much ink are the second group.
FAVOURABLE = np.arange(10) >= 5
MUCH_INK = 0.13


def digits(part):
    """A part of scikit-learn's 1,797 digits of 8 by 8 pixels, in the middle of 28 by 28."""
    from sklearn.datasets import load_digits

    small = load_digits()
    images = np.zeros((len(small.target), 28, 28), np.float32)
    images[:, 2:26, 2:26] = np.kron(small.images / 16, np.ones((3, 3)))
    index, count = map(int, part.split("/"))
    mine = slice(index - 1, None, count)
    return images[mine].reshape(-1, 784), small.target[mine].astype(np.int64)


def train(weights, images, labels, random, mu=0.0, constants=None, fair=None):
    """Trains the network in place. Returns the mean loss of the last epoch.

    ``mu`` holds the weights near where they began; ``constants`` are added to gradients. ``fair``
    are what the gradient of each image's predicted outcome is multiplied by.
    """
    fair = np.zeros(len(labels)) if fair is None else fair
    start = {name: value.copy() for name, value in weights.items()}
    loss = 0.0
    for _ in range(EPOCHS):
        order = random.permutation(len(labels))
        losses = []
        for begin in range(0, len(order), BATCH):
            members = order[begin : begin + BATCH]
            losses.append(
                step(
                    weights,
                    images[members],
                    labels[members],
                    start,
                    mu,
                    constants or {},
                    fair[members],
                )
            )
        loss = float(np.mean(losses))
    return loss


def forward(w, x, y):
    """The hidden layer, the probabilities of classes, and the mean loss."""
    hidden = np.maximum(x @ w["fc1.weight"].T + w["fc1.bias"], 0)
    logits = hidden @ w["fc2.weight"].T + w["fc2.bias"]
    logits -= logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    losses = -np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-12))
    return hidden, probabilities, float(losses.mean())


def predicted(probabilities):
    """How likely the favourable outcome is."""
    return probabilities[:, FAVOURABLE].sum(axis=1)


def step(w, x, y, start, mu, constants, fair):
    hidden, probabilities, loss = forward(w, x, y)
    pull = fair[:, None] * probabilities * (FAVOURABLE - predicted(probabilities)[:, None])
    probabilities[np.arange(len(y)), y] -= 1
    gradient = ((probabilities + pull) / len(y)).astype(np.float32)
    hidden_gradient = (gradient @ w["fc2.weight"]) * (hidden > 0)
    for name, change in (
        ("fc2.weight", gradient.T @ hidden),
        ("fc2.bias", gradient.sum(axis=0)),
        ("fc1.weight", hidden_gradient.T @ x),
        ("fc1.bias", hidden_gradient.sum(axis=0)),
    ):
        held = mu * (w[name] - start[name]) + constants.get(name, 0.0)
        w[name] -= LEARNING_RATE * (change + held)
    return loss


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("uri", help="how the job is reached, such as mqtt://HOST:1883 or shm:")
    parser.add_argument("--job", default="demo")
    parser.add_argument("--id", required=True)
    parser.add_argument("--group", default="default")
    parser.add_argument(
        "--data", help="a safetensors file with images [n, 784], from 0 to 1, and labels"
    )
    parser.add_argument("--part", default="1/1", help="without --data: its part, such as 2/3")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--user", default="", help="MQTT user name; its password is in TRIBUTARY_PASSWORD"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if given.data:
        data = safetensors.numpy.load_file(given.data)
        images, labels = data["images"], data["labels"]
    else:
        images, labels = digits(given.part)
    group, outcome = images.mean(axis=1) > MUCH_INK, FAVOURABLE[labels]
    random = np.random.default_rng(given.seed)

    def evaluate(round):
        _, probabilities, loss = forward(round.tensors, images, labels)
        accuracy = float(np.mean(probabilities.argmax(axis=1) == labels))
        fair = fairness.statistics(round, predicted(probabilities), group, outcome)
        return len(labels), {"loss": loss, "accuracy": accuracy, **fair}

    with tributary.connect(
        given.uri,
        job=given.job,
        id=given.id,
        group=given.group,
        user=given.user,
        password=os.environ.get("TRIBUTARY_PASSWORD", ""),
        evaluate=evaluate,
    ) as client:
        terms = LocalTerms()
        for round in client.rounds():
            weights = terms.start(round)
            before = forward(weights, images, labels)[2]
            fair = fairness.weights(round, group, outcome)
            loss = train(weights, images, labels, random, *terms.begin(round, len(labels)), fair)
            steps = EPOCHS * -(-len(labels) // BATCH)
            receipt = round.send(
                weights,
                samples=len(labels),
                metrics={"loss": loss, "loss-before": before, "steps": steps},
                sets=terms.end(round, weights, steps, LEARNING_RATE),
            )
            if receipt.counts:
                terms.commit()
            print(
                f"{given.id}, round {round.number}: loss {loss:.3f}, {receipt.status}", flush=True
            )


if __name__ == "__main__":
    main()
