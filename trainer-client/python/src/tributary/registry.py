# SPDX-License-Identifier: Apache-2.0
"""Registers a job's models: in an index of a directory, or in MLflow."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from .errors import ArgumentError, Malformed, TributaryError
from .logs import mlflow_client, mlflow_name, mlflow_run
from .messages import RoundId

log = logging.getLogger("tributary")

#: Name of the index in its directory.
INDEX = "index.jsonl"

_BLOCK = 1 << 20
#: Errors that say already what is wrong.
_OURS = (TributaryError, ArgumentError, ImportError)


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
        return self.version, _sorted(self.evaluation)


def _sorted(evaluation: Mapping[str, float]) -> str:
    return json.dumps(dict(evaluation), sort_keys=True)


class Registry(Protocol):
    """Where models are registered."""

    def known(self) -> set[tuple[str, str]]:
        """Keys of the entries that are there."""

    def add(self, entry: Entry) -> None:
        """Adds an entry, or an evaluation to one that is there."""

    def close(self) -> None:
        """Ends it; what was added is there."""


class DirectoryIndex:
    """A file with an entry of JSON on each line. Of a version, the last line counts."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise ArgumentError(f"--index {directory}: {e.strerror}") from None
        self._file = directory / INDEX

    def known(self) -> set[tuple[str, str]]:
        if not self._file.exists():
            return set()
        whole = self._file.read_bytes()
        # What a kill, or a disk that was full, has cut short is written again.
        end = whole.rfind(b"\n") + 1
        if end < len(whole):
            os.truncate(self._file, end)
        try:
            lines = [json.loads(line) for line in whole[:end].splitlines()]
            return {(line["version"], _sorted(line["evaluation"])) for line in lines}
        except (ValueError, KeyError, TypeError) as e:
            raise Malformed(f"{self._file}: expected an entry on each line: {e!r}") from None

    def add(self, entry: Entry) -> None:
        with open(self._file, "a") as out:
            out.write(json.dumps(asdict(entry), sort_keys=True) + "\n")

    def close(self) -> None:
        """Nothing is held."""


class MLflowRegistry:
    """Model versions of MLflow, each with its file and its ledger as artifacts of a run of this
    process.

    The registered model and the experiment have the job's name. A version's tags have what the
    entry says.
    """

    def __init__(self, place: str, job: str) -> None:
        self._client = mlflow_client(place)
        import mlflow

        # A client alone still makes a database of its own where the process was started.
        mlflow.set_tracking_uri(self._client.tracking_uri)
        mlflow.set_registry_uri(self._client.tracking_uri)
        self._job = job
        self._run: str | None = None
        #: Numbers of MLflow by version of the job.
        self._numbers: dict[str, str] = {}

    def known(self) -> set[tuple[str, str]]:
        mine = []
        token = None
        while True:
            found = self._client.search_model_versions(f"name = '{self._job}'", page_token=token)
            # Somebody may have registered versions of that name by hand.
            mine += [v for v in found if "version" in v.tags]
            token = found.token
            if not token:
                break
        self._numbers = {v.tags["version"]: v.version for v in mine}
        return {(v.tags["version"], v.tags.get("evaluation", "{}")) for v in mine}

    def close(self) -> None:
        if self._run is not None:
            self._client.set_terminated(self._run)

    def _start(self) -> str:
        if self._run is None:
            if not self._client.search_registered_models(f"name = '{self._job}'"):
                self._client.create_registered_model(self._job)
            self._run = mlflow_run(self._client, self._job)
        return self._run

    def add(self, entry: Entry) -> None:
        version, evaluation = entry.key
        number = self._numbers.get(version)
        if number is None:
            run = self._start()
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
                | {mlflow_name(f"metric.{n}"): str(value) for n, value in entry.metrics.items()}
                | ({"rejected": entry.rejected} if entry.rejected else {}),
            ).version
            self._numbers[version] = number
        for name, value in entry.evaluation.items():
            self._client.set_model_version_tag(
                self._job, number, mlflow_name(f"evaluation.{name}"), str(value)
            )
        self._client.set_model_version_tag(self._job, number, "evaluation", evaluation)


@dataclass(frozen=True)
class _Ledger:
    """A ledger, read; its model is not."""

    file: Path
    said: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> _Ledger:
        try:
            said = json.loads(file.read_text())
            ledger = cls(file, said)
            _ = ledger.key, said["job"]
            return ledger
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise Malformed(f"{file}: expected a ledger of a job: {e!r}") from None
        except OSError as e:
            raise TributaryError(f"{file} cannot be read: {e.strerror}") from None

    @property
    def version(self) -> str:
        return str(RoundId(self.said["round"], self.said["modelEpoch"]))

    @property
    def evaluation(self) -> Mapping[str, float]:
        found: Mapping[str, float] = (self.said.get("evaluation") or {}).get("metrics", {})
        return found

    @property
    def key(self) -> tuple[str, str]:
        return self.version, _sorted(self.evaluation)

    def entry(self) -> Entry | None:
        """With what its model is. None where somebody has removed that."""
        said = self.said
        model = self.file.parent / "versions" / f"{self.version}.safetensors"
        try:
            return Entry(
                job=said["job"],
                version=self.version,
                parent=said.get("base", ""),
                round=said["round"],
                model=str(model),
                bytes=model.stat().st_size,
                sha256=_sha256(model),
                ledger=str(self.file),
                updates=len(said["updates"]),
                samples=sum(update["samples"] for update in said["updates"]),
                trainers=said.get("trainers", 0),
                metrics={name: one["mean"] for name, one in said.get("metrics", {}).items()},
                evaluation=self.evaluation,
                rejected=said.get("rejected", ""),
            )
        except (ValueError, KeyError, TypeError) as e:
            raise Malformed(f"{self.file}: expected a ledger of a job: {e!r}") from None
        except FileNotFoundError:
            log.warning("%s: its model %s is not there, and is left out", self.file, model)
            return None
        except OSError as e:
            raise TributaryError(f"{model} cannot be read: {e.strerror}") from None


def _ledgers(models: Path, read: dict[Path, int]) -> Iterator[_Ledger]:
    """Ledgers that are not as old as they were when they were read, in the order of rounds."""
    found = []
    for file in models.glob("model-*.json"):
        number = file.stem.removeprefix("model-")
        if number.isdecimal():
            found.append((int(number), file))
    for _, file in sorted(found):
        age = file.stat().st_mtime_ns
        if read.get(file) != age:
            yield _Ledger.read(file)
            read[file] = age


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with open(file, "rb") as data:
        while block := data.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _opened(maker: Callable[[str], Registry], job: str) -> tuple[Registry, set[tuple[str, str]]]:
    try:
        registry = maker(job)
        return registry, registry.known()
    except _OURS:
        raise
    except Exception as e:
        raise TributaryError(f"the registry of '{job}' cannot be read: {_line(e)}") from None


def _add(registry: Registry, entry: Entry) -> None:
    try:
        registry.add(entry)
    except Exception as e:
        raise TributaryError(
            f"{entry.job} {entry.version} is not registered: {_line(e)}; start again when that is "
            "mended, it goes on from there"
        ) from None


def _line(error: Exception) -> str:
    """What a tool of somebody else says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


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
    if not (models / "versions").is_dir():
        raise ArgumentError(
            f"{models}: expected a job's model.directory, which has a directory 'versions'; of a "
            "job with several models, that of one of them"
        )
    makers = list(registries)
    made: dict[str, list[tuple[Registry, set[tuple[str, str]]]]] = {}
    read: dict[Path, int] = {}
    try:
        while True:
            for ledger in _ledgers(models, read):
                job = ledger.said["job"]
                if job not in made:
                    made[job] = [_opened(maker, job) for maker in makers]
                wanting = [(one, known) for one, known in made[job] if ledger.key not in known]
                entry = ledger.entry() if wanting else None
                if entry is not None:
                    for registry, known in wanting:
                        _add(registry, entry)
                        known.add(entry.key)
                    yield entry
            if watch is None:
                return
            pause(watch)
    finally:
        for registry, _ in (one for all_of_job in made.values() for one in all_of_job):
            try:
                registry.close()
            except Exception as e:
                # What was added is there; the others are to be closed too.
                log.warning("a registry cannot be closed: %s", _line(e))
