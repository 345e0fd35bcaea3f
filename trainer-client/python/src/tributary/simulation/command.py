# SPDX-License-Identifier: Apache-2.0
"""``./tributary simulate``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from ..pairs import parse_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--clients", type=int, required=True, metavar="N", help="how many")
    parser.add_argument(
        "--app",
        required=True,
        metavar="APP_DIR|trainer.py",
        help="a Flower app's directory, or a file with data, model, train and evaluate",
    )
    parser.add_argument("--data", metavar="DIR", help="a directory for the app")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="by default what a Flower app's config says, or 10"
    )
    parser.add_argument(
        "--alpha", type=float, metavar="A", help="divides the examples by a Dirichlet distribution"
    )
    parser.add_argument(
        "--shards",
        type=int,
        metavar="N",
        help="gives each client N shards of one label; with neither, all have the same mixture",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of all that is random")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; by default one for each processor"
    )
    parser.add_argument("--model", metavar="FILE", help="safetensors file to begin with")
    parser.add_argument("--run-config", action="append", default=[], metavar="'NAME=VALUE ...'")
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="'NAME=VALUE ...'",
        help="what clients get in each round",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a key of job.yaml, such as algorithm=fedadam",
    )
    parser.add_argument("--csv", metavar="FILE", help="where a line for each round is written")
    parser.add_argument("--out", metavar="FILE", help="where the last model is written")


def run(given: argparse.Namespace) -> int:
    """Runs a simulation, and prints a line for each round."""
    from ..model_file import save_model
    from .run import SimulatedRound, simulate

    def show(round: SimulatedRound) -> None:
        print(round, flush=True)

    out = Path(given.out or ".").absolute()
    if given.out and (out.is_dir() or not out.parent.is_dir()):
        raise ArgumentError(f"--out {given.out}: expected a file in a directory that exists")
    found = simulate(
        given.app,
        clients=given.clients,
        rounds=given.rounds,
        data=given.data,
        alpha=given.alpha,
        shards=given.shards,
        seed=given.seed,
        workers=given.workers,
        model=given.model,
        run_config=parse_config(given.run_config),
        config=parse_config(given.config),
        settings=dict(map(setting, given.set)),
        csv_file=given.csv,
        on_round=show,
    )
    if given.out:
        save_model(Path(given.out), found.model)
    return 0


def setting(text: str) -> tuple[str, Any]:
    """A key of ``job.yaml`` with its value, which may be JSON."""
    key, found, value = text.partition("=")
    if not found or not key:
        raise ArgumentError(f"--set {text}: expected KEY=VALUE, such as algorithm=fedadam")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
