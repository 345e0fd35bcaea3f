# SPDX-License-Identifier: Apache-2.0
"""The job of a simulation: a process of ``./tributary submit --here``."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..closing import Closing
from ..errors import ArgumentError, TributaryError
from ..messages import Scalar
from ..model_file import save_model
from ..shm.connection import DEFAULT_DIRECTORY
from ..tensors import Tensors

#: The job's name.
NAME = "simulation"
GROUP = "default"
#: What the name of a simulation's directory begins with.
WORK_PREFIX = "tributary-simulation-"
_LOCK = ".simulation"
#: Of a region, besides the tensors: as much as the header of an update may have, and more.
_REGION_BYTES = (1 << 20) + (1 << 14)

#: What rounds of a simulation depend on: each ends with all clients and not before.
_OWN = (
    "job.name",
    "topology",
    "transports",
    "regions.directory",
    "regions.node-port",
    "rounds.count",
    "rounds.minimum-trainers",
    "rounds.quorum",
    "rounds.deadline",
    "rounds.evaluator",
    "model.initial",
    "model.directory",
    "model.publish",
    "checkpoints.directory",
)

_HOME = "TRIBUTARY_HOME"
_END_SECONDS = 20.0
_JAVA_OPTIONS = "TRIBUTARY_JAVA_OPTS"
#: A simulation is over before the JVM's second compiler, which takes a processor, is worth it.
_FAST_START = "-XX:TieredStopAtLevel=1"
_PORTS = range(21_000, 31_000)

_TOPOLOGY = {
    "roles": [
        {
            "name": "trainer",
            "isDataConsumer": True,
            "replica": 1,
            "groupAssociation": [{"updates": GROUP}],
        },
        {
            "name": "top",
            "isDataConsumer": False,
            "replica": 1,
            "groupAssociation": [{"updates": GROUP}],
        },
    ],
    "channels": [
        {
            "name": "updates",
            "pair": ["trainer", "top"],
            "groupBy": {"type": "tag", "value": [GROUP]},
        }
    ],
}


def launcher(home: str | os.PathLike[str] | None = None) -> Path:
    """Tributary's command.

    It is that of ``home``, of TRIBUTARY_HOME, of the checkout in which this is, or the working
    directory, or the one on the path.
    """
    named = home or os.environ.get(_HOME)
    if named:
        found = Path(named) / "tributary"
        if not os.access(found, os.X_OK):
            raise ArgumentError(f"{found}: there is no such command; expected Tributary's checkout")
        return found
    places = list(Path(__file__).resolve().parents)
    # What somebody else has put into the working directory is not run.
    if Path.cwd().stat().st_uid in (0, os.getuid()):
        places.insert(0, Path.cwd())
    for above in places:
        if (above / "trainer-client").is_dir() and os.access(above / "tributary", os.X_OK):
            return above / "tributary"
    on_path = shutil.which("tributary")
    if on_path is None:
        raise ArgumentError(
            "a simulation runs a Tributary job, and its command './tributary' was not found; "
            f"set {_HOME} to the directory that it is in"
        )
    return Path(on_path)


def _free_port() -> int:
    """The first of two ports in a row that are free now, for the agent and its metrics."""
    for _ in range(100):
        port = secrets.choice(_PORTS)
        try:
            with (
                socket.create_server(("127.0.0.1", port)),
                socket.create_server(("127.0.0.1", port + 1)),
            ):
                return port
        except OSError:
            continue
    raise TributaryError("no two ports in a row are free on 127.0.0.1")


def _sweep(memory: Path) -> None:
    """Removes what simulations have left whose process was killed."""
    for left in memory.glob(f"{NAME}-*"):
        try:
            with open(left / _LOCK) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                work = Path(lock.read())
        except OSError:
            # Its process lives, or makes it just now.
            continue
        if work.name.startswith(WORK_PREFIX):
            shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(left, ignore_errors=True)


def _allowed(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings that a simulation does not depend on."""
    for key in settings:
        if any(key == own or own.startswith(f"{key}.") for own in _OWN):
            raise ArgumentError(
                f"'{key}' is not a setting for a simulation, which has its own; it takes those of "
                "algorithm, updates, rounds.timing and others that its clients do not depend on"
            )
    return settings


class SimulatedJob(Closing):
    """A job on this host, over shared memory. It ends with this process."""

    def __init__(
        self,
        command: Path,
        work: Path,
        *,
        model: Tensors | Sequence[Any],
        clients: int,
        rounds: int,
        settings: Mapping[str, Any],
        config: Mapping[str, Scalar],
    ) -> None:
        self._log = work / "job.log"
        self.models = work / "models"
        memory = Path(DEFAULT_DIRECTORY.replace("{uid}", str(os.getuid())))
        memory.mkdir(mode=0o700, exist_ok=True)
        _sweep(memory)
        self._regions = memory / f"{NAME}-{secrets.token_hex(4)}"
        hidden = self._regions.with_name(f".{self._regions.name}")
        hidden.mkdir(mode=0o700)
        # Whoever finds it unlocked may remove all that this process has made.
        self._lock = os.open(hidden / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.write(self._lock, str(work).encode())
        hidden.rename(self._regions)
        try:
            port = _free_port()
            self.uri = f"shm:{self._regions}?agent-port={port}"
            save_model(work / "model-0.safetensors", model)
            self.model_bytes = (work / "model-0.safetensors").stat().st_size
            # Of each client an update, the next one, and one that waits for its checkpoint.
            quota = (3 * clients + 8) * (2 * self.model_bytes + _REGION_BYTES)
            (work / "schema.json").write_text(json.dumps(_TOPOLOGY))
            job = {
                "job.name": NAME,
                "topology": "schema.json",
                "transports": [f"shm:?agent-port={port}"],
                "regions.directory": str(self._regions),
                "regions.quota": f"{quota} bytes",
                # Training needs the processors.
                "parallelism": 1,
                "rounds.count": rounds,
                "rounds.minimum-trainers": clients,
                "rounds.quorum": clients,
                "rounds.max-trainers": max(clients, 1),
                "rounds.deadline": "0 s",
                "model.initial": "model-0.safetensors",
                "model.directory": "models",
                "model.publish": "immediate",
                "checkpoints.interval": "500 ms",
                "checkpoints.directory": "checkpoints",
                **({"rounds.config": dict(config)} if config else {}),
            }
            job.update(_allowed(settings))
            # JSON is YAML.
            (work / "job.yaml").write_text(json.dumps(job, indent=1))
            line = [str(command), "submit", "--config", str(work / "job.yaml"), "--here"]
            if shutil.which("setpriv"):
                line = ["setpriv", "--pdeathsig", "TERM", *line]
            with open(self._log, "w") as log:
                self._process = subprocess.Popen(
                    line,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={
                        **os.environ,
                        _JAVA_OPTIONS: os.environ.get(_JAVA_OPTIONS, _FAST_START),
                        "TRIBUTARY_LOG": str(work / "tributary.log"),
                    },
                )
        except BaseException:
            shutil.rmtree(self._regions, ignore_errors=True)
            raise

    def check(self) -> None:
        """Raises what has ended the job before its time."""
        code = self._process.poll()
        if code:
            said = self._log.read_text(errors="replace").strip().splitlines()
            raise TributaryError(f"the job has ended with code {code}: {' | '.join(said[-3:])}")

    @property
    def done(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() == 0

    @property
    def ui(self) -> str:
        """Where Flink's web UI is; empty before it has said so."""
        for line in self._log.read_text(errors="replace").splitlines():
            _, found, address = line.partition("Flink web UI: ")
            if found:
                return address.strip()
        return ""

    def close(self) -> None:
        """Ends it, and removes its shared memory."""
        try:
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
        finally:
            shutil.rmtree(self._regions, ignore_errors=True)
            os.close(self._lock)
