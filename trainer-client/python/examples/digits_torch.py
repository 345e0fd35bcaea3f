# SPDX-License-Identifier: Apache-2.0
"""A trainer in PyTorch: a network with one hidden layer on scikit-learn's digits.

python digits_torch.py --initial model-0.safetensors
python digits_torch.py mqtt://127.0.0.1:1883 --job digits --id t-1 --group eu --part 1/2
"""

import torch
from digits import arguments, share
from torch import nn

import tributary


def network():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def train(model, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = 0.0
    for _ in range(3):
        total = 0.0
        for batch in torch.randperm(len(labels)).split(32):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
    return total / len(labels)


def main():
    given = arguments(__doc__)
    model = network()
    if given.initial:
        tributary.save_model(given.initial, model.state_dict())
        return
    images, labels = map(torch.from_numpy, share(given.part))
    with tributary.connect(given.uri, job=given.job, id=given.id, group=given.group) as client:
        for round in client.rounds():
            model.load_state_dict(round.torch())
            loss = train(model, images, labels)
            receipt = round.send(model.state_dict(), samples=len(labels), metrics={"loss": loss})
            print(f"round {round.number}: loss {loss:.3f}, {receipt.status}", flush=True)


if __name__ == "__main__":
    main()
