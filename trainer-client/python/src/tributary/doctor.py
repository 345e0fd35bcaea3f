# SPDX-License-Identifier: Apache-2.0
"""Says what a trainer would find: packages, shared memory, an agent, and a job."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import time
import uuid
from pathlib import Path

from . import connection
from .connection import Identity, Options
from .errors import TributaryError
from .inbox import Inbox
from .shm import process
from .shm.connection import DEFAULT_DIRECTORY
from .shm.directory import read_small
from .shm.mailbox import DEFAULT_PORT

_PACKAGES = {
    "numpy": "arrays",
    "safetensors": "models in files",
    "paho-mqtt": "mqtt://, mqtts://, ws://, wss://",
    "crc32c": "checksums",
    "confluent-kafka": "kafka://; pip install confluent-kafka",
    "torch": "round.torch(); pip install torch",
    "ml_dtypes": "models of BF16 in NumPy; pip install ml_dtypes",
    "tqdm": "progress=True; pip install tqdm",
}
_REQUIRED = frozenset({"numpy", "safetensors", "paho-mqtt", "crc32c"})
_LOOK_SECONDS = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("uri", nargs="?", help="how the job is reached, such as mqtt://HOST:1883")
    parser.add_argument("--job", help="the job's name")
    parser.add_argument("--id", help="the trainer's id, if the broker's rules depend on it")
    parser.add_argument("--user", default="", help="MQTT user name")
    add_password(parser)
    parser.add_argument("--ca-file", default="", help="PEM file with the certificates to trust")


def add_password(parser: argparse.ArgumentParser) -> None:
    """The password, which others should not see in the list of processes."""
    parser.add_argument(
        "--password",
        default=os.environ.get("TRIBUTARY_PASSWORD", ""),
        help="its password; better in the environment variable TRIBUTARY_PASSWORD",
    )


def _line(what: str, state: str, text: str) -> None:
    print(f"{what:<18} {state:<10} {text}")


def _packages() -> bool:
    good = True
    for name, use in _PACKAGES.items():
        try:
            _line(name, "ok", f"{importlib.metadata.version(name)}, for {use.split(';')[0]}")
        except importlib.metadata.PackageNotFoundError:
            good = good and name not in _REQUIRED
            _line(name, "missing", f"needed for {use}")
    return good


def _shared_memory() -> None:
    directory = Path(DEFAULT_DIRECTORY.replace("{uid}", str(os.getuid())))
    if not directory.is_dir():
        _line("shared memory", "none", f"{directory} is made by the first job on this host")
        return
    jobs = sorted(f.parent.name for f in directory.glob("*/job.json") if _lives(f))
    _line("shared memory", "ok", f"{directory}, running jobs: {', '.join(jobs) or 'none'}")
    door = directory / ".agent" / f"{DEFAULT_PORT}.sock"
    if door.exists():
        _line("agent", "ok", f"its door is {door}")
    else:
        _line("agent", "none", "without one all takes a little longer: ./tributary agent")


def _lives(file: Path) -> bool:
    """Whether the process of a job that has written its bound there lives."""
    try:
        return process.lives(json.loads(read_small(file) or b"")["owner"]["process"], file)
    except (ValueError, KeyError, TypeError):
        return False


def _job(uri: str, job: str, options: Options, trainer: str) -> bool:
    inbox = Inbox(trainer, uuid.uuid4().hex)
    try:
        found = connection.connect(
            uri, Identity(job, trainer, uuid.uuid4().hex, "doctor"), options, inbox
        )
    except (TributaryError, ValueError, ImportError) as e:
        _line("transport", "failed", str(e))
        return False
    try:
        # Shared memory is there even if nobody uses it.
        if not uri.startswith("shm"):
            _line("transport", "ok", f"{uri} answers")
        end = time.monotonic() + _LOOK_SECONDS
        plan = None
        while plan is None and time.monotonic() < end:
            found.poll()
            plan = inbox.wait(lambda: inbox.newest_plan, 0.2)
    except TributaryError as e:
        _line("transport", "failed", str(e))
        return False
    finally:
        found.close()
    if plan is None:
        _line("job", "none", f"'{job}' has no round there; is it running, and is its name right?")
        return False
    state = "ok" if plan.needs_model else "over"
    _line("job", state, f"'{job}': round {plan.id} is {plan.state}, updates are {plan.kind}")
    return True


def run(uri: str | None, job: str | None, options: Options, trainer: str | None) -> int:
    """Prints a line for each thing. Returns 0 if all that was asked for is there, else 1."""
    _line("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    good = _packages()
    _shared_memory()
    if uri is not None and job is not None:
        name = trainer or f"doctor-{uuid.uuid4().hex[:8]}"
        good = _job(uri, job, options, name) and good
    return 0 if good else 1
