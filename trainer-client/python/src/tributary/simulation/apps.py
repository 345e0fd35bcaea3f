# SPDX-License-Identifier: Apache-2.0
"""What is simulated: functions of a trainer, or a Flower app."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from ..errors import ArgumentError, TributaryError
from ..messages import Scalar, numbers
from ..round import GlobalModel, Round
from ..tensors import Tensors
from .partition import Indices, Partition, divide

#: What each client trains with: arrays of the same length, the last the labels.
Data = Sequence[Any]

Metrics = dict[str, float]


class Participant(Protocol):
    """One client."""

    def train(self, round: Round, seed: int) -> tuple[Any, int, Metrics]:
        """Trains the round's model. Returns the tensors, the number of examples, and metrics."""

    def evaluate(self, model: Round | GlobalModel) -> tuple[int, Metrics]:
        """Evaluates a model: the number of examples, and metrics, which may be none."""


class App(Protocol):
    """All clients. Worker processes are forked from the process that has made it."""

    def model(self) -> Tensors | Sequence[Any]:
        """The model to begin with."""

    def prepare(self) -> None:
        """Loads what all clients share."""

    def participant(self, index: int) -> Participant:
        """The client of that number."""

    def evaluate(self, model: GlobalModel) -> Metrics:
        """Evaluates a model for all; nothing where the clients do it."""


@dataclass(frozen=True)
class Started:
    """An app, with the model to begin with and the rounds, if it says so itself."""

    app: App
    model: Tensors | Sequence[Any] | None = None
    rounds: int | None = None


class FunctionsApp:
    """Functions: ``data``, ``model``, ``train`` and, maybe, ``evaluate``.

    >>> def data(directory):  # arrays to train with and to test with; labels come last
    ...     return (images, labels), (test_images, test_labels)
    >>> def model(seed):
    ...     return {"weight": ..., "bias": ...}
    >>> def train(tensors, data, config, seed):  # tensors are copies
    ...     return tensors, {"loss": 0.5}
    >>> def evaluate(tensors, data):
    ...     return {"accuracy": 0.9, "loss": 0.3}
    """

    def __init__(
        self, functions: Any, directory: Path | None, clients: int, partition: Partition, seed: int
    ) -> None:
        self._functions = functions
        self._directory = directory
        self._clients = clients
        self._partition = partition
        self._seed = seed
        for name in ("data", "model", "train"):
            if not callable(getattr(functions, name, None)):
                raise ArgumentError(
                    f"{shown(functions)} has no function '{name}'; expected data(directory), "
                    "model(seed), train(tensors, data, config, seed) and, if models are to be "
                    "evaluated, evaluate(tensors, data)"
                )

    def prepare(self) -> None:
        self._train, self._test = self._data()
        self._parts = divide(
            self._partition, self._train[-1], self._clients, np.random.default_rng(self._seed)
        )

    def _data(self) -> tuple[Data, Data]:
        found = self._functions.data(self._directory)
        try:
            train, test = found
            for part in (train, test):
                if not isinstance(part, tuple | list):
                    raise TypeError(f"of two, one is {type(part).__name__}")
            lengths = {len(array) for array in train}
            if len(lengths) != 1:
                raise ValueError(f"arrays of {sorted(lengths)} examples")
        except (TypeError, ValueError) as e:
            raise ArgumentError(
                f"{shown(self._functions)}: data returns {type(found).__name__}: {e}; expected "
                "(train, test), each some arrays of the same length, the last the labels"
            ) from None
        return train, test

    def model(self) -> Tensors | Sequence[Any]:
        found: Tensors | Sequence[Any] = self._functions.model(self._seed)
        return found

    def participant(self, index: int) -> Participant:
        mine: Indices = self._parts[index]
        return _Share(self._functions, tuple(np.asarray(a)[mine] for a in self._train))

    def evaluate(self, model: GlobalModel) -> Metrics:
        evaluate = getattr(self._functions, "evaluate", None)
        if evaluate is None:
            return {}
        try:
            return numbers(shown(self._functions), evaluate(dict(model.tensors), self._test))
        except Exception as e:
            raise TributaryError(
                f"{shown(self._functions)}: evaluate has failed for model {model.number}: "
                f"{type(e).__name__}: {e}"
            ) from e


@dataclass
class _Share:
    functions: Any
    data: Data

    def train(self, round: Round, seed: int) -> tuple[Any, int, Metrics]:
        if round.sets:
            raise TributaryError(
                f"the job's algorithm needs tensor sets ({', '.join(round.sets)}), which train() "
                "cannot return; use a Flower app, or trainers that connect by themselves"
            )
        tensors = {name: value.copy() for name, value in round.tensors.items()}
        found = self.functions.train(tensors, self.data, dict(round.config), seed)
        try:
            trained, metrics = found
        except (TypeError, ValueError):
            raise TypeError(
                f"{shown(self.functions)}: train returns {type(found).__name__}, expected "
                "(tensors, metrics)"
            ) from None
        return trained, len(self.data[-1]), numbers(shown(self.functions), metrics)

    def evaluate(self, model: Round | GlobalModel) -> tuple[int, Metrics]:
        return 0, {}


def shown(functions: Any) -> str:
    """What they are called, for people."""
    return str(getattr(functions, "__file__", None) or getattr(functions, "__name__", functions))


class FlowerApp:
    """A Flower app. It divides the data itself, by ``partition-id`` and ``num-partitions``."""

    def __init__(
        self,
        app: Any,
        model: Tensors | Sequence[Any],
        clients: int,
        directory: Path | None,
        run_config: Mapping[str, Scalar],
        config: Mapping[str, Scalar],
    ) -> None:
        self._app = app
        self._model = model
        self._clients = clients
        self._directory = directory
        self._run_config = run_config
        self._config = config

    def model(self) -> Tensors | Sequence[Any]:
        return self._model

    def prepare(self) -> None:
        """The app loads its data itself."""

    def participant(self, index: int) -> Participant:
        from ..flower import FlowerClient

        node: dict[str, Scalar] = {"partition-id": index, "num-partitions": self._clients}
        if self._directory is not None:
            node["data-path"] = str(self._directory)
        return _FlowerShare(
            FlowerClient(self._app, node, self._run_config, self._config, f"simulated/{index}")
        )

    def evaluate(self, model: GlobalModel) -> Metrics:
        return {}


@dataclass
class _FlowerShare:
    client: Any

    def train(self, round: Round, seed: int) -> tuple[Any, int, Metrics]:
        found = self.client.train(round)
        sets = {f"{s}/{n}": a for s, its in found.sets.items() for n, a in its.items()}
        return {**found.arrays, **sets}, found.samples, found.metrics

    def evaluate(self, model: Round | GlobalModel) -> tuple[int, Metrics]:
        found: tuple[int, Metrics] = self.client.evaluate(model)
        return found


def load_functions(file: Path) -> ModuleType:
    """The functions of a file."""
    if not file.is_file():
        raise ArgumentError(
            f"{file}: expected a Flower app's directory, or a file such as trainer.py"
        )
    name = file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"{file}: expected a Python file, such as trainer.py")
    module = importlib.util.module_from_spec(spec)
    # As 'python FILE' does it: what is beside the file can be imported.
    sys.path.insert(0, str(file.resolve().parent))
    sys.modules.setdefault(name, module)
    try:
        spec.loader.exec_module(module)
    except Exception as e:
        raise ArgumentError(f"{file} cannot be loaded: {type(e).__name__}: {e}") from e
    return module
