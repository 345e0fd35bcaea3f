# SPDX-License-Identifier: Apache-2.0
"""A trainer in NumPy alone: logistic regression on scikit-learn's digits.

python logistic_regression.py --initial model-0.safetensors
python logistic_regression.py shm: --job digits --id t-1 --group eu --part 1/2
"""

import numpy as np
from digits import arguments, share

import tributary

STEPS, LEARNING_RATE = 20, 0.5


def main():
    given = arguments(__doc__)
    if given.initial:
        zeros = {"weight": np.zeros((64, 10), np.float32), "bias": np.zeros(10, np.float32)}
        tributary.save_model(given.initial, zeros)
        return
    x, y = share(given.part)
    with tributary.connect(given.uri, job=given.job, id=given.id, group=given.group) as client:
        for round in client.rounds():
            update = round.update()  # writable arrays: over shared memory, what the job reads
            weight, bias = update["weight"], update["bias"]
            weight[:], bias[:] = round.tensors["weight"], round.tensors["bias"]
            for _ in range(STEPS):
                scores = np.exp(x @ weight + bias)
                error = scores / scores.sum(axis=1, keepdims=True) - np.eye(10, dtype="f4")[y]
                weight -= LEARNING_RATE * x.T @ error / len(y)
                bias -= LEARNING_RATE * error.mean(axis=0)
            receipt = update.send(samples=len(y))
            print(f"round {round.number}: {receipt.status}", flush=True)


if __name__ == "__main__":
    main()
