"""A server as Flower's own examples have it. A job has the rounds; this says the first model."""

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context):
    arrays = ArrayRecord([np.zeros((64, 10), np.float32), np.zeros(10, np.float32)])
    FedAvg(fraction_evaluate=0.5).start(
        grid=grid,
        initial_arrays=arrays,
        train_config=ConfigRecord(
            {"lr": 0.5, "momentum": context.run_config["optimizer.momentum"]}
        ),
        num_rounds=context.run_config["num-server-rounds"],
    )
