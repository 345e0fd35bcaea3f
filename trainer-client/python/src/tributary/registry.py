# SPDX-License-Identifier: Apache-2.0
"""Registers a job's models: in an index of a directory, or in MLflow."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from .errors import ArgumentError, Malformed
from .messages import RoundId

#: Name of the index in its directory.
INDEX = "index.jsonl"

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One version of a model.

    ``parent`` is the version that its round began with. ``metrics`` are the means of what trainers
    measured, ``evaluation`` what the evaluator found out; it may come later, and the entry then
    comes once more. ``rejected`` says why the model is its parent once more.
    """

    job: str
    version: str
    parent: str
    round: int
    model: str
    bytes: int
    sha256: str
    ledger: str
    updates: int
    samples: int
    trainers: int
    metrics: Mapping[str, float]
    evaluation: Mapping[str, float]
    rejected: str

    @property
    def key(self) -> tuple[str, str]:
        """What tells an entry from others, and from the same without its evaluation."""
        return self.version, json.dumps(dict(self.evaluation), sort_keys=True)


class Registry(Protocol):
    """Where models are registered."""

    def known(self) -> set[tuple[str, str]]:
        """Keys of the entries that are there."""

    def add(self, entry: Entry) -> None:
        """Adds an entry, or an evaluation to one that is there."""


class DirectoryIndex:
    """A file with an entry of JSON on each line. Of a version, the last line counts."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / INDEX

    def known(self) -> set[tuple[str, str]]:
        if not self._file.exists():
            return set()
        lines = self._file.read_text().splitlines()
        try:
            return {Entry(**json.loads(line)).key for line in lines}
        except (ValueError, TypeError) as e:
            raise Malformed(f"{self._file}: expected an entry on each line: {e}") from None

    def add(self, entry: Entry) -> None:
        with open(self._file, "a") as out:
            out.write(json.dumps(asdict(entry), sort_keys=True) + "\n")


class MLflowRegistry:
    """Model versions of MLflow, each with its file and its ledger as artifacts of one run.

    The registered model and the experiment have the job's name. A version's tags have what the
    entry says.
    """

    def __init__(self, place: str, job: str) -> None:
        # MLflow 3 wants to hear that plain files are meant.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise ImportError("mlflow needs mlflow-skinny; pip install mlflow-skinny") from None
        uri = place if "://" in place else Path(place).absolute().as_uri()
        self._client: Any = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._job = job
        self._run: str | None = None

    def _versions(self) -> Sequence[Any]:
        found: Sequence[Any] = self._client.search_model_versions(f"name = '{self._job}'")
        return found

    def known(self) -> set[tuple[str, str]]:
        return {(v.tags["version"], v.tags.get("evaluation", "{}")) for v in self._versions()}

    def _start(self) -> str:
        if self._run is None:
            if not self._client.search_registered_models(f"name = '{self._job}'"):
                self._client.create_registered_model(self._job)
            found = self._client.get_experiment_by_name(self._job)
            experiment = found.experiment_id if found else self._client.create_experiment(self._job)
            self._run = self._client.create_run(experiment).info.run_id
        return self._run

    def add(self, entry: Entry) -> None:
        run = self._start()
        version, evaluation = entry.key
        there = [v for v in self._versions() if v.tags["version"] == version]
        if there:
            number = there[0].version
        else:
            for file in (entry.model, entry.ledger):
                self._client.log_artifact(run, file, version)
            home = self._client.get_run(run).info.artifact_uri
            number = self._client.create_model_version(
                self._job,
                f"{home}/{version}",
                run,
                tags={
                    name: str(getattr(entry, name))
                    for name in (
                        "version",
                        "parent",
                        "round",
                        "sha256",
                        "updates",
                        "samples",
                        "trainers",
                    )
                }
                | {f"metric.{name}": str(value) for name, value in entry.metrics.items()}
                | ({"rejected": entry.rejected} if entry.rejected else {}),
            ).version
        for name, value in entry.evaluation.items():
            self._client.set_model_version_tag(self._job, number, f"evaluation.{name}", str(value))
        self._client.set_model_version_tag(self._job, number, "evaluation", evaluation)


def _entries(models: Path, known: set[tuple[str, str]], read: dict[Path, int]) -> Iterator[Entry]:
    """Models of a job's directory that are not known, in the order of rounds.

    A ledger that is as old as it was when it was read, by ``read``, is not read again.
    """
    number = 1
    while (ledger := models / f"model-{number}.json").exists():
        age = ledger.stat().st_mtime_ns
        if read.get(ledger) != age:
            entry = _entry(models, ledger, known)
            read[ledger] = age
            if entry is not None:
                yield entry
        number += 1


def _entry(models: Path, ledger: Path, known: set[tuple[str, str]]) -> Entry | None:
    try:
        said = json.loads(ledger.read_text())
        version = str(RoundId(said["round"], said["modelEpoch"]))
        evaluation = (said.get("evaluation") or {}).get("metrics", {})
        if (version, json.dumps(dict(evaluation), sort_keys=True)) in known:
            return None
        model = models / "versions" / f"{version}.safetensors"
        return Entry(
            job=said["job"],
            version=version,
            parent=said.get("base", ""),
            round=said["round"],
            model=str(model),
            bytes=model.stat().st_size,
            sha256=_sha256(model),
            ledger=str(ledger),
            updates=len(said["updates"]),
            samples=sum(update["samples"] for update in said["updates"]),
            trainers=said.get("trainers", 0),
            metrics={name: one["mean"] for name, one in said.get("metrics", {}).items()},
            evaluation=evaluation,
            rejected=said.get("rejected", ""),
        )
    except (ValueError, KeyError, TypeError) as e:
        raise Malformed(f"{ledger}: expected a ledger of a job: {e!r}") from None
    except FileNotFoundError as e:
        raise Malformed(f"{ledger}: its model {e.filename} is not there") from None


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with open(file, "rb") as data:
        while block := data.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def register(
    models: Path,
    registries: Iterable[Callable[[str], Registry]],
    watch: float | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Entry]:
    """Registers the models of a job's directory, and yields each that was new.

    Args:
        models: ``model.directory`` of the job.
        registries: Make the registries of a job, whose name they are given.
        watch: Looks again after so many seconds, for ever; None to look once.
        pause: Waits that long.

    Raises:
        ArgumentError: There is no such directory.
        Malformed: A file there is not what a job writes.
    """
    if not models.is_dir():
        raise ArgumentError(f"{models}: expected a job's model.directory")
    makers = list(registries)
    made: dict[str, list[tuple[Registry, set[tuple[str, str]]]]] = {}
    done: set[tuple[str, str]] = set()
    read: dict[Path, int] = {}
    while True:
        for entry in _entries(models, done, read):
            if entry.job not in made:
                made[entry.job] = [(one, one.known()) for one in (m(entry.job) for m in makers)]
            new = False
            for registry, known in made[entry.job]:
                if entry.key not in known:
                    registry.add(entry)
                    known.add(entry.key)
                    new = True
            done.add(entry.key)
            if new:
                yield entry
        if watch is None:
            return
        pause(watch)
