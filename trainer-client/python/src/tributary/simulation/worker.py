# SPDX-License-Identifier: Apache-2.0
"""A process with some of the clients. They train one at a time, and wait side by side."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from ..chunks import ModelFile
from ..client import Client
from ..connecting import connect
from ..messages import RoundId
from ..round import GlobalModel, Round
from .apps import App, Metrics, Participant
from .job import GROUP, NAME

log = logging.getLogger("tributary")


@dataclass(frozen=True)
class Trained:
    """A client has sent an update."""

    client: int
    round: int
    samples: int
    metrics: Metrics


@dataclass(frozen=True)
class Evaluated:
    """A client has evaluated the model of a round; 0 is the initial one."""

    client: int
    model: int
    examples: int
    metrics: Metrics


@dataclass(frozen=True)
class Failed:
    """A client has failed, and with it the simulation."""

    client: int
    why: str
    trace: str


@dataclass(frozen=True)
class Done:
    """All clients of a worker have done what was asked for last."""


Said = Trained | Evaluated | Failed | Done


@dataclass(frozen=True)
class Train:
    """Take part in the job until it is done."""

    uri: str


@dataclass(frozen=True)
class Evaluate:
    """Evaluate the last model."""

    file: Path
    round: int


def open_model(file: Path, round: int) -> GlobalModel:
    """The model of a round, in a file."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        model = ModelFile(descriptor, 0, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
    return GlobalModel(RoundId(round, 0), model)


class Worker:
    """The clients of one process."""

    def __init__(self, app: App, clients: Sequence[int], seed: int, pipe: Connection) -> None:
        self._clients: dict[int, Participant] = {i: app.participant(i) for i in clients}
        self._seed = seed
        self._pipe = pipe
        self._saying = threading.Lock()
        # More than one at a time would share a processor, and the generators of random numbers.
        self._training = threading.Lock()

    def _say(self, said: Said) -> None:
        with self._saying:
            self._pipe.send(said)

    def run(self) -> None:
        """Does what it is told until there is nobody to tell it more."""
        while True:
            try:
                task = self._pipe.recv()
            except (EOFError, OSError):
                return
            if isinstance(task, Train):
                self._train_all(task.uri)
            else:
                self._evaluate_all(open_model(task.file, task.round))

    def _train_all(self, uri: str) -> None:
        """Begins to train; who tells this process more is heard meanwhile."""
        threads = [
            threading.Thread(
                target=self._guarded,
                args=(index, lambda i: self._train(i, uri)),
                name=f"client-{index}",
                daemon=True,
            )
            for index in self._clients
        ]
        for thread in threads:
            thread.start()

        def join() -> None:
            for thread in threads:
                thread.join()
            self._say(Done())

        threading.Thread(target=join, daemon=True).start()

    def _evaluate_all(self, made: GlobalModel) -> None:
        for index in self._clients:
            self._guarded(index, lambda i: self._evaluate(i, made, made.number))
        self._say(Done())

    def _guarded(self, index: int, call: Callable[[int], None]) -> None:
        try:
            call(index)
        except BaseException as e:  # also an app that calls sys.exit
            self._say(Failed(index, f"{type(e).__name__}: {e}", traceback.format_exc()))

    def _train(self, index: int, uri: str) -> None:
        def evaluate(round: Round) -> tuple[int, Mapping[str, float]]:
            with self._training:
                seed_all(seed_of(self._seed, index, round.model_round))
                return self._clients[index].evaluate(round)

        who = f"client-{index}"
        with connect(uri, job=NAME, id=who, group=GROUP, timeout=None, evaluate=evaluate) as client:
            for round in client.rounds():
                self._take_part(index, client, round)

    def _take_part(self, index: int, client: Client, round: Round) -> None:
        with self._training:
            self._evaluate(index, round, round.number - 1)
            seed = seed_of(self._seed, index, round.number)
            seed_all(seed)
            tensors, samples, metrics = self._clients[index].train(round, seed)
        update = round.fill(tensors)
        # The round ends with all clients, so the next one says that this counts.
        client.post(update, samples, update.complete(metrics))
        self._say(Trained(index, round.number, samples, metrics))

    def _evaluate(self, index: int, round: Round | GlobalModel, made: int) -> None:
        """Evaluates the model of a round: the one that ``round`` has."""
        seed_all(seed_of(self._seed, index, made))
        examples, metrics = self._clients[index].evaluate(round)
        if metrics:
            self._say(Evaluated(index, made, examples, metrics))


def seed_of(seed: int, client: int, round: int) -> int:
    """A seed for one training that no other has; the same in each run."""
    return int(np.random.SeedSequence([seed, client, round]).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seeds the generators that apps use without saying so."""
    random.seed(seed)
    np.random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        tensorflow.random.set_seed(seed)


def main(
    app: App, clients: Sequence[int], seed: int, pipe: Connection, others: Iterable[Connection]
) -> None:
    """The process, a fork of the one that tells it what to do."""
    for other in others:
        # Else it would never be told that there is nobody any more.
        other.close()
    # Ctrl-C is for the process that it belongs to, which ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("tributary").setLevel(logging.WARNING)
    # A client has a connection, a lock, and some memory.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    torch = sys.modules.get("torch")
    if torch is not None:
        # The workers are the threads already; and a pool of threads does not outlive a fork.
        torch.set_num_threads(1)
    code = 0
    try:
        Worker(app, clients, seed, pipe).run()
    except (OSError, KeyboardInterrupt):
        code = 1
    except BaseException as e:
        code = 1
        with contextlib.suppress(OSError):
            pipe.send(Failed(clients[0], f"{type(e).__name__}: {e}", traceback.format_exc()))
    # Threads of clients may wait for a job that is gone.
    os._exit(code)
