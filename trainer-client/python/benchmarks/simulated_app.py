# SPDX-License-Identifier: Apache-2.0
"""The Flower app that ``simulate.py`` measures: the digits of ``examples/simulate_digits.py``."""

import functools
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import numpy as np
import simulate_digits as digits
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common import Message
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

from tributary.simulation import partition

CLIENTS = int(os.environ.get("CLIENTS", "100"))
ROUNDS = int(os.environ.get("ROUNDS", "20"))

client = ClientApp()


@functools.cache
def shares():
    images, labels = digits.data(None)[0]
    random = np.random.default_rng(7)
    parts = partition.divide(partition.dirichlet(0.5), labels, CLIENTS, random)
    return [(images[p], labels[p]) for p in parts]


@client.train()
def train(msg, context):
    weights = {n: a.numpy().copy() for n, a in msg.content["arrays"].items()}
    share = shares()[context.node_config["partition-id"]]
    weights, metrics = digits.train(weights, share, {"local-epochs": 5}, 1)
    record = ArrayRecord({n: array_of(v) for n, v in weights.items()})
    metrics = MetricRecord({**metrics, "num-examples": len(share[1])})
    return Message(content=RecordDict({"arrays": record, "metrics": metrics}), reply_to=msg)


@client.evaluate()
def evaluate(msg, context):
    weights = {n: a.numpy() for n, a in msg.content["arrays"].items()}
    share = shares()[context.node_config["partition-id"]]
    metrics = MetricRecord({**digits.evaluate(weights, share), "num-examples": len(share[1])})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=msg)


def array_of(values):
    from flwr.app import Array

    return Array(values)


class Timed(FedAvg):
    """Says when each round begins."""

    def configure_train(self, *arguments, **named):
        print(f"begins {time.time()}", flush=True)
        return super().configure_train(*arguments, **named)


server = ServerApp()


@server.main()
def main(grid, context):
    arrays = ArrayRecord({n: array_of(v) for n, v in digits.model(7).items()})
    strategy = Timed(
        fraction_train=1.0,
        fraction_evaluate=1.0,
        min_train_nodes=CLIENTS,
        min_evaluate_nodes=CLIENTS,
        min_available_nodes=CLIENTS,
    )
    result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=ROUNDS)
    print(f"begins {time.time()}", flush=True)
    last = result.evaluate_metrics_clientapp[ROUNDS]
    print(f"accuracy {last['accuracy']}", flush=True)
