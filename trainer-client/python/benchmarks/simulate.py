# SPDX-License-Identifier: Apache-2.0
"""Compares a simulation with Flower's of the same clients, on the same processors.

    pip install -e 'trainer-client/python[flower]' 'flwr[simulation]' scikit-learn
    python trainer-client/python/benchmarks/simulate.py [--clients 100] [--rounds 20] [--pairs 3]

Both run the client of ``simulated_app.py``: in each round all clients train, and all evaluate.
It prints the time of a round, the median without the first, and of the whole command.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

OURS = """
import time, tributary
from simulated_app import CLIENTS, ROUNDS, client, digits
found = tributary.simulate(client, clients=CLIENTS, rounds=ROUNDS, model=digits.model(7), seed=7)
for round in found.rounds[1:]:
    print("seconds", round.seconds)
print("accuracy", found.rounds[-1].evaluation["accuracy"])
"""

FLOWERS = """
import os
from flwr.simulation import run_simulation
from simulated_app import CLIENTS, client, server
if __name__ == "__main__":
    run_simulation(
        server_app=server, client_app=client, num_supernodes=CLIENTS,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {
                "num_cpus": os.cpu_count(), "num_gpus": 0, "include_dashboard": False,
                "_node_ip_address": "127.0.0.1", "log_to_driver": False,
            },
        },
    )
"""


def run(program, environment):
    """The seconds of each round, of all, and the last accuracy."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=HERE,
        capture_output=True,
        text=True,
    )
    whole = time.monotonic() - began
    if done.returncode:
        sys.exit(f"it has failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    said = [line.split() for line in done.stdout.splitlines() if line.count(" ") == 1]
    seconds = [float(value) for name, value in said if name == "seconds"]
    begins = [float(value) for name, value in said if name == "begins"]
    seconds += [b - a for a, b in itertools.pairwise(begins)]
    accuracy = next(float(value) for name, value in said if name == "accuracy")
    return statistics.median(seconds[1:]), whole, accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    environment = {
        **os.environ,
        "CLIENTS": str(given.clients),
        "ROUNDS": str(given.rounds),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    rounds, wholes = [], []
    for _ in range(given.pairs):
        ours, theirs = run(OURS, environment), run(FLOWERS, environment)
        for name, (second, whole, accuracy) in (("tributary", ours), ("flower", theirs)):
            print(f"{name:<10} round {second:.3f} s, all {whole:.1f} s, accuracy {accuracy:.3f}")
        rounds.append(theirs[0] / ours[0])
        wholes.append(theirs[1] / ours[1])
    print(
        f"flower / tributary, {given.clients} clients: a round {statistics.median(rounds):.1f}, "
        f"{given.rounds} rounds with their start {statistics.median(wholes):.1f}"
    )


if __name__ == "__main__":
    main()
