# SPDX-License-Identifier: Apache-2.0
"""A trainer with scikit-learn's SGDClassifier, on its digits.

python sgd_sklearn.py --initial model-0.safetensors
python sgd_sklearn.py mqtt://127.0.0.1:1883 --job digits --id t-1 --group eu --part 1/2
"""

import numpy as np
from digits import arguments, share
from sklearn.linear_model import SGDClassifier

import tributary

CLASSES = np.arange(10)


def main():
    given = arguments(__doc__)
    if given.initial:
        tributary.save_model(given.initial, {"coef": np.zeros((10, 64)), "intercept": np.zeros(10)})
        return
    images, labels = share(given.part)
    images = images.astype(np.float64)  # as the model's tensors
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01)
    model.partial_fit(images[:1], labels[:1], CLASSES)
    with tributary.connect(given.uri, job=given.job, id=given.id, group=given.group) as client:
        for round in client.rounds():
            model.coef_ = round.tensors["coef"].copy()
            model.intercept_ = round.tensors["intercept"].copy()
            for _ in range(5):
                model.partial_fit(images, labels)
            trained = {"coef": model.coef_, "intercept": model.intercept_}
            receipt = round.send(trained, samples=len(labels))
            print(f"round {round.number}: {receipt.status}", flush=True)


if __name__ == "__main__":
    main()
