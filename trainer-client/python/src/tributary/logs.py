# SPDX-License-Identifier: Apache-2.0
"""Writes what a job says of its rounds where TensorBoard or MLflow shows it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from .errors import ArgumentError
from .messages import Model, RoundId, Status

#: What MLflow does not take in a name.
_FOREIGN = re.compile(r"[^\w.\- /]")

WRITERS = ("tensorboard", "mlflow")


class Writer(Protocol):
    """Where numbers go."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of a round."""

    def close(self) -> None:
        """Ends it; what was written is there."""


class TensorBoard:
    """A file of events, in a directory for each start."""

    def __init__(self, directory: Path, job: str) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ImportError("tensorboard needs tensorboardX; pip install tensorboardX") from None
        self._writer: Any = SummaryWriter(
            str(directory / f"{job}-{time.strftime('%Y%m%d-%H%M%S')}")
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        # Somebody may be looking.
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class MLflow:
    """A run of MLflow, in the experiment that has the job's name."""

    def __init__(self, place: str, job: str) -> None:
        self._client = mlflow_client(place)
        self._run = mlflow_run(self._client, job)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, mlflow_name(name), value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


def mlflow_client(place: str) -> Any:
    """A client of MLflow at a URI, or at a directory of its file store."""
    # MLflow 3 wants to hear that plain files are meant.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise ImportError("mlflow needs mlflow-skinny; pip install mlflow-skinny") from None
    uri = place if "://" in place else Path(place).absolute().as_uri()
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def mlflow_run(client: Any, job: str) -> str:
    """A new run of MLflow, in the experiment that has the job's name."""
    found = client.get_experiment_by_name(job)
    experiment = found.experiment_id if found else client.create_experiment(job)
    run: str = client.create_run(experiment).info.run_id
    return run


def mlflow_name(name: str) -> str:
    """A name that MLflow takes, for any that trainers may give: "hit@10" becomes "hit_10"."""
    parts = _FOREIGN.sub("_", name).split("/")
    return "/".join("_" if part in ("", ".", "..") else part for part in parts)


def open_writer(kind: str, place: str, job: str) -> Writer:
    """A writer by its name, to a directory; MLflow's may also be the URI of a server."""
    if kind == "tensorboard":
        return TensorBoard(Path(place), job)
    if kind == "mlflow":
        return MLflow(place, job)
    raise ArgumentError(f"'{kind}': expected one of {', '.join(WRITERS)}")


def write(
    news: Iterable[Status | Model], writer: Writer, clock: Callable[[], float] = time.monotonic
) -> None:
    """Writes what comes, until the job has ended.

    ``round/…`` are the job's numbers, ``train/…`` the means of what trainers measured, and
    ``evaluation/…`` what the evaluator found out about the round's model.
    """
    closed: set[RoundId] = set()
    models: set[RoundId] = set()
    evaluated: tuple[Any, ...] = ()
    before: float | None = None
    for said in news:
        if isinstance(said, Model):
            if said.id in models:
                continue
            models.add(said.id)
            now = clock()
            if before is not None:
                writer.write(
                    said.id.round,
                    {"round/seconds": now - before, "round/model_delay_ms": said.delay_ms},
                )
            before = now
            continue
        if said.state == "CLOSED" and said.id not in closed:
            closed.add(said.id)
            writer.write(
                said.id.round,
                {
                    "round/updates": said.updates,
                    "round/rejected": said.rejected,
                    "round/duplicates": said.duplicates,
                    **{f"train/{name}": value for name, value in said.metrics.items()},
                },
            )
        found = said.evaluation
        if found is not None and evaluated != (found.model, tuple(found.metrics.items())):
            evaluated = (found.model, tuple(found.metrics.items()))
            writer.write(
                found.model.round,
                {f"evaluation/{name}": value for name, value in found.metrics.items()},
            )
