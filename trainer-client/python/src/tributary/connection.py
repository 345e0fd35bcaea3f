# SPDX-License-Identifier: Apache-2.0
"""What a transport does for a trainer, and which transport a URI names."""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from .errors import ArgumentError
from .inbox import Inbox
from .messages import Kind, RoundId, kept_metrics

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class Identity:
    """Who a trainer is. ``instance`` is drawn by each client object at random."""

    job: str
    trainer: str
    instance: str
    group: str


@dataclass(frozen=True)
class Sending:
    """An update on its way: what it is, beside its payload. Each sending is a new ``attempt``."""

    id: RoundId
    kind: Kind
    attempt: int
    samples: int
    metrics: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", kept_metrics(self.metrics))


class Memory(Protocol):
    """Where an update is written. It is used again when the update has been answered."""

    @property
    def buffer(self) -> memoryview:
        """The payload, writable."""

    @property
    def use(self) -> int:
        """Which use of it this is: it rises when another update is begun in it, or it is gone."""


class Connection(Protocol):
    """A trainer's connection to its job. What the job says goes to the inbox.

    The trainer's thread calls it; any thread may call ``control``, ``make_room`` and
    ``connections``.
    """

    #: Whether a job that is restored finds what was sent to it before.
    durable: bool

    @property
    def connections(self) -> int:
        """Rises when the connection was lost and is there again."""

    @property
    def waits_for(self) -> str:
        """Where an answer to a JOIN would come, for people."""

    def control(self, kind: str) -> None:
        """Says JOIN, HEARTBEAT or LEAVE."""

    def evaluate(self, message: Mapping[str, Any]) -> bool:
        """Says what was found out about a model. False if it may be lost."""

    def memory(self, length: int) -> Memory:
        """Memory for an update. One that was begun before and not sent is given up."""

    def publish(self, memory: Memory, sending: Sending) -> None:
        """Sends an update, or sends it again."""

    def acknowledge(self, memory: Memory) -> None:
        """The job has answered the update in it."""

    def forget_receipts(self) -> None:
        """Forgets the receipts that have come, before something is sent that will be answered."""

    def poll(self) -> None:
        """Looks whether the job has said something, where nobody says so."""

    def make_room(self) -> None:
        """Gives up memory that is not needed, because others wait for it."""

    def request_model(self) -> None:
        """Asks for the newest model."""

    def request_dead_letters(self) -> None:
        """Asks for what the job rejects from now on."""

    def request_status(self) -> None:
        """Asks for what the job says of its rounds and models from now on."""

    def close(self) -> None:
        """Ends it."""


@dataclass
class PrivateMemory:
    """Memory of this process alone, for what is sent in chunks."""

    length: int
    use: int = 0
    _map: mmap.mmap = field(init=False)

    def __post_init__(self) -> None:
        self._map = mmap.mmap(-1, max(1, self.length))

    @property
    def buffer(self) -> memoryview:
        return memoryview(self._map)[: self.length]


class PrivateMemories:
    """Keeps the memory of the last update for the next one: fresh memory is slow."""

    def __init__(self) -> None:
        self._kept: PrivateMemory | None = None

    def take(self, length: int) -> PrivateMemory:
        if self._kept is None or self._kept.length != length:
            self.give_up()
            self._kept = PrivateMemory(length)
        self._kept.use += 1
        return self._kept

    def give_up(self) -> None:
        """What is in it is sent no more."""
        if self._kept is not None:
            self._kept.use += 1


class Credentials(TypedDict, total=False):
    """What a broker may want to know of a client."""

    user: str
    password: str
    ca_file: str | os.PathLike[str]
    certificate: str | os.PathLike[str]
    key: str | os.PathLike[str]
    kafka: Mapping[str, str] | None


@dataclass(frozen=True)
class Options:
    """What a transport may need beside its URI. Only those that it has a use for may be given."""

    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    certificate: str = ""
    key: str = ""
    kafka: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Seconds that a broker may be away before that is an error.
    patience: float = 30.0

    @classmethod
    def of(cls, patience: float = 30.0, **given: Unpack[Credentials]) -> Options:
        """Of the keywords that a user has given."""
        for name in given:
            if name not in Credentials.__annotations__:
                raise TypeError(f"there is no option '{name}'")
        return cls(
            given.get("user", ""),
            given.get("password", ""),
            os.fspath(given.get("ca_file", "")),
            os.fspath(given.get("certificate", "")),
            os.fspath(given.get("key", "")),
            dict(given.get("kafka") or {}),
            patience,
        )

    def require(self, uri: str, allowed: tuple[str, ...]) -> None:
        for name in ("user", "password", "ca_file", "certificate", "key", "kafka"):
            if getattr(self, name) and name not in allowed:
                raise ArgumentError(
                    f"'{shown(uri)}' takes no {name}; "
                    f"it takes {', '.join(allowed) or 'no credentials'}"
                )
        if bool(self.certificate) != bool(self.key):
            raise ArgumentError(
                "a client certificate and its key go together; give both or neither"
            )


SCHEMES = ("mqtt", "mqtts", "ws", "wss", "kafka", "shm")


def connect(uri: str, who: Identity, options: Options, inbox: Inbox) -> Connection:
    """Connects a trainer by the transport that a URI names."""
    whole = uri if ":" in uri else uri + ":"
    scheme = whole.split(":", 1)[0]
    # Each is imported when it is used, so that a trainer needs only what it uses.
    if scheme in ("mqtt", "mqtts", "ws", "wss"):
        from .mqtt import MqttConnection
        from .mqtt_link import MqttUri

        return MqttConnection(who, MqttUri.parse(whole), options, inbox)
    if scheme == "kafka":
        from .kafka import KafkaConnection

        return KafkaConnection(who, whole, options, inbox)
    if scheme == "shm":
        from .shm.connection import ShmConnection, ShmUri

        options.require(whole, ())
        return ShmConnection(who, ShmUri.parse(whole), inbox)
    raise ArgumentError(
        f"'{shown(uri)}': expected a URI that begins with one of {', '.join(SCHEMES)}"
    )


def shown(uri: str) -> str:
    """A URI without what may be a password in it."""
    return re.sub(r"^([a-z]*:?)(//)?.*@", r"\1//…@", uri)[:200]


def parse_address(uri: str, authority: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; an IPv6 address stands in brackets."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", authority)
    port = int(match.group(3)) if match else 0
    if not match or not 1 <= port <= 65535:
        raise ArgumentError(
            f"'{shown(uri)}': expected HOST:PORT with a port from 1 to 65535; "
            "an IPv6 address stands in brackets"
        )
    return match.group(1) or match.group(2), port


def chunk_properties(who: Identity, sending: Sending, token: str) -> dict[str, str]:
    """What stands beside each chunk of an update, but for the chunk's own numbers."""
    return {
        "job": who.job,
        "trainer": who.trainer,
        "round": str(sending.id.round),
        "epoch": str(sending.id.epoch),
        "instance": who.instance,
        "token": token,
        "attempt": str(sending.attempt),
        "samples": str(sending.samples),
        "kind": sending.kind,
        "metrics": json.dumps(dict(sending.metrics)),
    }
