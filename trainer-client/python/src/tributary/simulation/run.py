# SPDX-License-Identifier: Apache-2.0
"""Runs a simulation: the job, the workers, and what they say."""

from __future__ import annotations

import csv
import logging
import multiprocessing
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import numpy as np

from ..closing import Closing
from ..errors import ArgumentError, NoAnswer, TributaryError
from ..follower import Follower
from ..messages import Model, Scalar, Status
from ..progress import open_bar
from ..tensors import Array, Tensors
from . import partition, worker
from .apps import App, FunctionsApp, Metrics, Started, load_functions
from .job import NAME, WORK_PREFIX, SimulatedJob, launcher
from .worker import Done, Evaluate, Evaluated, Failed, Said, Train, Trained

log = logging.getLogger("tributary")

_LOOK = 0.2
#: Who evaluates for all clients.
_ALL = -1
_START_SECONDS = 120.0
#: A checkout that was never built fetches what it needs first.
_BUILD_SECONDS = 1800.0


@dataclass(frozen=True)
class SimulatedRound:
    """What a round of a simulation gave.

    ``round`` 0 is the initial model, which is evaluated too. ``metrics`` are those of training,
    and ``evaluation`` those of the round's model, both as means weighted by examples. ``bytes`` is
    the length of all models that clients got and of all updates that they sent. ``seconds`` is the
    time from the model before to this one.
    """

    round: int
    updates: int
    samples: int
    metrics: Mapping[str, float]
    evaluation: Mapping[str, float]
    bytes: int
    seconds: float

    def __str__(self) -> str:
        parts = [f"{name} {value:.4g}" for name, value in self.evaluation.items()]
        if self.round:
            parts += [f"train {name} {value:.4g}" for name, value in self.metrics.items()]
            parts += [f"{self.updates} updates", f"{self.bytes / 1e6:.1f} MB"]
            parts += [f"{self.seconds:.2f} s"]
        return f"round {self.round}: {', '.join(parts) or 'not evaluated'}"


@dataclass(frozen=True)
class Simulation:
    """A simulation that has ended: its rounds, and the last model by name of tensor."""

    rounds: Sequence[SimulatedRound]
    model: Mapping[str, Array]


@dataclass
class _Mean:
    """Means of metrics, weighted. Each client counts once: a job that goes back asks all again."""

    clients: set[int] = field(default_factory=set)
    weight: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)

    def add(self, client: int, metrics: Metrics, weight: int) -> None:
        if client in self.clients:
            return
        self.clients.add(client)
        self.weight += weight
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * weight
            self.weights[name] = self.weights.get(name, 0) + weight

    @property
    def values(self) -> Metrics:
        return {n: s / self.weights[n] for n, s in self.sums.items() if self.weights[n]}


@dataclass
class _Round:
    """What is known of a round so far."""

    trained: _Mean = field(default_factory=_Mean)
    evaluated: _Mean = field(default_factory=_Mean)
    made_at: float | None = None
    #: Whether there is nothing to evaluate, or all have done it.
    closed: bool = False


def simulate(
    app: Any,
    *,
    clients: int,
    rounds: int | None = None,
    data: str | os.PathLike[str] | None = None,
    alpha: float | None = None,
    shards: int | None = None,
    seed: int = 1,
    workers: int | None = None,
    model: Tensors | Sequence[Any] | str | os.PathLike[str] | None = None,
    run_config: Mapping[str, Scalar] | None = None,
    config: Mapping[str, Scalar] | None = None,
    settings: Mapping[str, Any] | None = None,
    csv_file: str | os.PathLike[str] | None = None,
    on_round: Callable[[SimulatedRound], None] | None = None,
    progress: bool = False,
    home: str | os.PathLike[str] | None = None,
) -> Simulation:
    """Lets many clients train on this machine, with a real job behind them.

    All clients take part in each round. They are spread over a few processes, forks of this one,
    and send their updates over shared memory to a job of their own, which ends with the call.

    Args:
        app: What a client does: a file such as ``trainer.py`` or any object with the functions
            ``data``, ``model``, ``train`` and ``evaluate``; or a Flower app, as its directory or
            its ``ClientApp``.
        clients: How many.
        rounds: How many; by default what a Flower app's config says, or 10.
        data: A directory for the app: the argument of ``data``, a Flower app's ``data-path``.
        alpha: Divides the examples by a Dirichlet distribution of that concentration.
        shards: Divides them into shards of one label, so many for each client. With neither, all
            clients have the same number of examples, drawn from all.
        seed: Of all that is random. The same seed gives the same division and the same training.
        workers: Processes; by default as many as there are processors.
        model: The model to begin with, or its file. By default that of ``model``, or the one that
            a Flower app's ``serverapp`` sends first.
        run_config: A Flower app's ``context.run_config``, over what its directory says.
        config: What clients get as the config of each round.
        settings: Keys of ``job.yaml`` with their values, such as ``{"algorithm": "fedadam"}``.
        csv_file: Where a line for each round is written.
        on_round: Called with each round when it is evaluated; in a notebook, it may draw.
        progress: Shows a bar of ``tqdm``.
        home: The directory of ``./tributary``; by default this checkout, or TRIBUTARY_HOME.

    Raises:
        ValueError: An argument, or what the app has, is not as expected.
        TributaryError: A client has failed, or the job.
    """
    if clients < 1:
        raise ArgumentError(f"clients is {clients!r}, expected 1 or more")
    if rounds is not None and rounds < 1:
        raise ArgumentError(f"rounds is {rounds!r}, expected 1 or more")
    if workers is not None and workers < 1:
        raise ArgumentError(f"workers is {workers!r}, expected 1 or more")
    if alpha is not None and shards is not None:
        raise ArgumentError("alpha and shards exclude each other: both divide the data")
    command = launcher(home)
    started = _app(
        app,
        clients=clients,
        data=None if data is None else Path(data),
        alpha=alpha,
        shards=shards,
        seed=seed,
        model=model,
        run_config=run_config or {},
        config=config or {},
    )
    count = rounds or started.rounds or 10
    with (
        tempfile.TemporaryDirectory(prefix=WORK_PREFIX) as work,
        SimulatedJob(
            command,
            Path(work),
            model=started.model if started.model is not None else started.app.model(),
            clients=clients,
            rounds=count,
            settings=settings or {},
            config=config or {},
        ) as job,
    ):
        run = _Run(started.app, job, clients, count, seed, workers or os.cpu_count() or 1)
        with _Report(count, csv_file, on_round, progress) as report:
            return run.run(report)


def _app(
    app: Any,
    *,
    clients: int,
    data: Path | None,
    alpha: float | None,
    shards: int | None,
    seed: int,
    model: Any,
    run_config: Mapping[str, Scalar],
    config: Mapping[str, Scalar],
) -> Started:
    if data is not None and not data.is_dir():
        raise ArgumentError(f"data '{data}': expected a directory")
    given = _model(model)
    path = Path(app) if isinstance(app, str | os.PathLike) else None
    flower = path.is_dir() if path else _is_flower(app)
    if flower:
        if alpha is not None or shards is not None:
            raise ArgumentError(
                "a Flower app divides its data itself, so it takes no alpha and no shards; say it "
                "in its run config, if it has a name for it"
            )
        from .flower_app import load

        return load(path or app, given, clients, data, run_config, config)
    if run_config:
        raise ArgumentError("only a Flower app has a run config; 'config' goes to each round")
    functions = load_functions(path) if path else app
    divided: partition.Partition = partition.iid
    if alpha is not None:
        divided = partition.dirichlet(alpha)
    elif shards is not None:
        divided = partition.shards(shards)
    return Started(FunctionsApp(functions, data, clients, divided, seed), given)


def _is_flower(app: Any) -> bool:
    return any(base.__module__.split(".")[0] == "flwr" for base in type(app).__mro__)


def _model(model: Any) -> Any:
    if isinstance(model, str | os.PathLike):
        try:
            made = worker.open_model(Path(model), 0)
            return {name: made.tensors[name] for name in made.names}
        except (OSError, ValueError, TributaryError) as e:
            raise ArgumentError(f"model '{model}': expected a safetensors file: {e}") from None
    return model


class _Run:
    """A simulation that runs."""

    def __init__(
        self, app: App, job: SimulatedJob, clients: int, rounds: int, seed: int, workers: int
    ) -> None:
        self._app = app
        self._job = job
        self._clients = clients
        self._last = rounds
        self._seed = seed
        self._workers = min(workers, clients)
        self._rounds: dict[int, _Round] = {}
        self._next = 0
        self._done = 0
        self._said: queue.SimpleQueue[tuple[float, Status | Model | Said | BaseException]] = (
            queue.SimpleQueue()
        )

    def run(self, report: _Report) -> Simulation:
        """Runs it to the end."""
        self._app.prepare()
        processes: list[ForkProcess] = []
        pipes: list[Connection] = []
        # What is defined in a notebook is there in a fork alone.
        fork = multiprocessing.get_context("fork")
        try:
            for number in range(self._workers):
                mine = range(number, self._clients, self._workers)
                ours, theirs = fork.Pipe()
                process = fork.Process(
                    target=worker.main,
                    args=(self._app, mine, self._seed, theirs, [*pipes, ours]),
                    name=f"tributary-worker-{number}",
                )
                process.start()
                theirs.close()
                processes.append(process)
                pipes.append(ours)
            with Follower(self._job.uri, job=NAME) as news:
                return self._follow(report, news, processes, pipes)
        finally:
            for pipe in pipes:
                pipe.close()
            for process in processes:
                # It has nothing to lose.
                process.kill()
                process.join()

    def _follow(
        self,
        report: _Report,
        news: Follower,
        processes: Sequence[ForkProcess],
        pipes: Sequence[Connection],
    ) -> Simulation:
        ended = threading.Event()
        threads = [
            threading.Thread(target=self._hear_job, args=(news, ended), daemon=True),
            threading.Thread(target=self._hear_workers, args=(pipes, ended), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            self._await_job(processes)
            for pipe in pipes:
                pipe.send(Train(self._job.uri))
            self._until(lambda: self._done == len(pipes), report, processes)
            file = self._job.models / f"model-{self._last}.safetensors"
            last = self._round(self._last)
            self._until(lambda: file.exists() and last.made_at is not None, report, processes)
            self._done = 0
            for pipe in pipes:
                pipe.send(Evaluate(file, self._last))
            self._until(lambda: self._done == len(pipes), report, processes)
            last.closed = True
            self._report(report)
            model = worker.open_model(file, self._last)
            return Simulation(
                report.rounds, {name: np.array(value) for name, value in model.tensors.items()}
            )
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def _await_job(self, processes: Sequence[ForkProcess]) -> None:
        """Its first word: who joins before that waits until it looks."""
        end = time.monotonic() + _BUILD_SECONDS
        while time.monotonic() < end:
            try:
                at, said = self._said.get(timeout=_LOOK)
            except queue.Empty:
                self._check(processes)
                if self._job.ui:
                    # It is built, and starts.
                    end = min(end, time.monotonic() + _START_SECONDS)
                continue
            self._take(at, said)
            if isinstance(said, Status | Model):
                return
        raise NoAnswer(f"the job has not started within {_START_SECONDS:.0f} s")

    def _hear_job(self, news: Follower, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                said = news.next(_LOOK)
            except NoAnswer:
                continue
            except Exception as e:
                self._said.put((time.monotonic(), e))
                return
            if said is None:
                return
            self._said.put((time.monotonic(), said))

    def _hear_workers(self, pipes: Sequence[Connection], ended: threading.Event) -> None:
        open_pipes = list(pipes)
        while open_pipes and not ended.is_set():
            for pipe in wait(open_pipes, _LOOK):
                assert isinstance(pipe, Connection)
                try:
                    self._said.put((time.monotonic(), pipe.recv()))
                except (EOFError, OSError):
                    open_pipes.remove(pipe)

    def _until(
        self, over: Callable[[], bool], report: _Report, processes: Sequence[ForkProcess]
    ) -> None:
        while not over():
            try:
                at, said = self._said.get(timeout=_LOOK)
            except queue.Empty:
                if over():
                    return
                self._check(processes)
                if self._job.done:
                    raise TributaryError(
                        f"the job has ended before round {self._last} was done"
                    ) from None
                continue
            self._take(at, said)
            self._report(report)

    def _check(self, processes: Sequence[ForkProcess]) -> None:
        """Raises what has ended a process before its time."""
        self._job.check()
        for process in processes:
            if process.exitcode is not None:
                raise TributaryError(
                    f"{process.name} has ended with code {process.exitcode}; a client may have "
                    "been killed for want of memory"
                )

    def _round(self, number: int) -> _Round:
        return self._rounds.setdefault(number, _Round())

    def _take(self, at: float, said: Status | Model | Said | BaseException) -> None:
        if isinstance(said, BaseException):
            raise said
        if isinstance(said, Failed):
            log.error("%s", said.trace.rstrip())
            raise TributaryError(f"client {said.client} has failed: {said.why}")
        if isinstance(said, Done):
            self._done += 1
        elif isinstance(said, Trained):
            self._round(said.round).trained.add(said.client, said.metrics, said.samples)
        elif isinstance(said, Evaluated):
            self._round(said.model).evaluated.add(said.client, said.metrics, said.examples)
        elif isinstance(said, Status):
            # A job that is fast says that a round is closed, and not that it was open.
            if said.state in ("OPEN", "CLOSED"):
                self._made(0, at, self._job.models.parent / "model-0.safetensors")
        elif isinstance(said, Model) and said.id.round > 0:
            if said.rejected:
                raise TributaryError(
                    f"the model of round {said.id.round} was rejected: {said.rejected}"
                )
            self._made(said.id.round, at, self._job.models / "versions" / f"{said.id}.safetensors")

    def _made(self, number: int, at: float, file: Path) -> None:
        """A model is there."""
        round = self._round(number)
        if round.made_at is not None:
            return
        round.made_at = at
        metrics = self._app.evaluate(worker.open_model(file, number))
        if metrics:
            round.evaluated.add(_ALL, metrics, 1)
            round.closed = True

    def _report(self, report: _Report) -> None:
        """Reports the rounds of which all is known."""
        while self._next <= self._last:
            round = self._round(self._next)
            trained = self._next == 0 or len(round.trained.clients) == self._clients
            # The next round's training comes after the evaluation of this model.
            following = self._rounds.get(self._next + 1)
            evaluated = (
                round.closed
                or len(round.evaluated.clients) == self._clients
                or (following is not None and len(following.trained.clients) == self._clients)
            )
            if round.made_at is None or not trained or not evaluated:
                return
            before = self._rounds.get(self._next - 1)
            report.add(
                SimulatedRound(
                    self._next,
                    len(round.trained.clients),
                    round.trained.weight,
                    round.trained.values,
                    round.evaluated.values,
                    2 * self._job.model_bytes * len(round.trained.clients),
                    round.made_at - (before.made_at or 0.0) if before else 0.0,
                )
            )
            self._next += 1


class _Report(Closing):
    """Where rounds are told."""

    def __init__(
        self,
        rounds: int,
        file: str | os.PathLike[str] | None,
        on_round: Callable[[SimulatedRound], None] | None,
        progress: bool,
    ) -> None:
        self.rounds: list[SimulatedRound] = []
        self._file = None if file is None else Path(file)
        self._on_round = on_round
        if self._file is not None and not self._file.absolute().parent.is_dir():
            raise ArgumentError(
                f"csv_file '{self._file}': expected a file in a directory that exists"
            )
        self._bar = open_bar(progress, total=rounds, desc="simulation")

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()

    def add(self, round: SimulatedRound) -> None:
        """One more."""
        self.rounds.append(round)
        if self._file is not None:
            self._write(self._file)
        if self._bar is not None and round.round:
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in round.evaluation.items()})
            self._bar.update()
        if self._on_round is not None:
            self._on_round(round)

    def _write(self, file: Path) -> None:
        """The whole file: a metric that is new is a column of all lines."""
        evaluation = list(dict.fromkeys(n for r in self.rounds for n in r.evaluation))
        trained = list(dict.fromkeys(n for r in self.rounds for n in r.metrics))
        with open(file, "w", newline="") as out:
            lines = csv.writer(out)
            lines.writerow(
                ["round", "updates", "samples", "bytes", "seconds"]
                + evaluation
                + [f"train_{name}" for name in trained]
            )
            for r in self.rounds:
                lines.writerow(
                    [r.round, r.updates, r.samples, r.bytes, f"{r.seconds:.6f}"]
                    + [r.evaluation.get(name, "") for name in evaluation]
                    + [r.metrics.get(name, "") for name in trained]
                )
