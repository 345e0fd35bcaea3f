# SPDX-License-Identifier: Apache-2.0
"""A trainer in Keras: a network with one hidden layer on scikit-learn's digits.

python digits_keras.py --initial model-0.safetensors
python digits_keras.py mqtt://127.0.0.1:1883 --job digits --id t-1 --group eu --part 1/2
"""

import keras
from digits import arguments, share

import tributary


def network():
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")]
    )
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def main():
    given = arguments(__doc__)
    model = network()
    if given.initial:
        tributary.save_model(given.initial, model.get_weights())
        return
    images, labels = share(given.part)
    with tributary.connect(given.uri, job=given.job, id=given.id, group=given.group) as client:
        for round in client.rounds():
            model.set_weights(round.arrays())  # a list in the order of the model that was saved
            history = model.fit(images, labels, batch_size=32, epochs=3, verbose=0)
            loss = history.history["loss"][-1]
            receipt = round.send(
                model.get_weights(), samples=len(labels), metrics={"loss": float(loss)}
            )
            print(f"round {round.number}: loss {loss:.3f}, {receipt.status}", flush=True)


if __name__ == "__main__":
    main()
