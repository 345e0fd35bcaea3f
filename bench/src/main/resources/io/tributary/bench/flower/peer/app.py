# SPDX-License-Identifier: Apache-2.0
"""Rounds of FedAvg without training, each timed from its start until it is aggregated."""

import time

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

client = ClientApp()
server = ServerApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    """Answers with a model of the same size."""
    model = message.content["arrays"].to_numpy_ndarrays()
    update = [np.full_like(array, 0.5) for array in model]
    content = RecordDict(
        {
            "arrays": ArrayRecord(update),
            "metrics": MetricRecord({"num-examples": 1 + int(context.node_config["partition-id"])}),
        }
    )
    return Message(content=content, reply_to=message)


class TimedFedAvg(FedAvg):
    """Appends to a file for each round: updates, its seconds, and those of aggregation alone."""

    def __init__(self, result: str, **arguments):
        super().__init__(**arguments)
        self.result = result

    def configure_train(self, server_round, arrays, config, grid):
        self.began = time.perf_counter()
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(self, server_round, replies):
        answers = list(replies)
        arrived = time.perf_counter()
        aggregated = super().aggregate_train(server_round, answers)
        ended = time.perf_counter()
        counted = sum(not answer.has_error() for answer in answers)
        with open(self.result, "a", encoding="utf-8") as file:
            file.write(f"{counted} {ended - self.began:.4f} {ended - arrived:.4f}\n")
        return aggregated


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Runs the rounds."""
    config = context.run_config
    strategy = TimedFedAvg(
        str(config["result"]),
        fraction_train=1.0,
        fraction_evaluate=0.0,
        min_train_nodes=int(config["trainers"]),
        min_available_nodes=int(config["trainers"]),
    )
    model = ArrayRecord([np.zeros(int(config["params"]), dtype=np.float32)])
    strategy.start(grid=grid, initial_arrays=model, num_rounds=int(config["rounds"]), train_config=ConfigRecord())
