# SPDX-License-Identifier: Apache-2.0
"""A Flower app's clients, and the model that its server would begin with."""

from __future__ import annotations

import logging
import threading
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, Metadata, RecordDict
from flwr.serverapp import Grid

from ..errors import ArgumentError
from ..flower import as_client_app, load_component, override, read_app
from ..messages import Scalar
from ..pairs import flat
from ..tensors import Tensors
from .apps import FlowerApp, Started

log = logging.getLogger("tributary")

_ROUNDS = "num-server-rounds"
_RUN = 1
_TTL_SECONDS = 3600.0


def load(
    app: Any,
    model: Tensors | Sequence[Any] | None,
    clients: int,
    data: Path | None,
    run_config: Mapping[str, Scalar],
    config: Mapping[str, Scalar],
) -> Started:
    """A Flower app of a directory, or a ``ClientApp`` with the model to begin with."""
    said: dict[str, Scalar] = {}
    server: Any = None
    client = app
    if isinstance(app, Path):
        described = read_app(app)
        client = load_component(app, described, "clientapp")
        said = override(flat(described.get("config", {})), run_config)
        if model is None and "serverapp" in described["components"]:
            server = load_component(app, described, "serverapp")
    else:
        said = dict(run_config)
    first = FirstMessage(clients)
    if model is None:
        if server is None:
            raise ArgumentError(
                "the app has no serverapp, which would say with which model to begin; "
                "name the model"
            )
        model = first.of(server, said)
        log.warning(
            "the app's serverapp says with which model to begin, and what its first round's config "
            "is; its strategy is not used: all clients take part in each round, and the job's "
            "algorithm makes the model"
        )
    rounds = said.get(_ROUNDS)
    simulated = FlowerApp(
        as_client_app(client), model, clients, data, said, {**first.config, **config}
    )
    return Started(simulated, model, rounds if isinstance(rounds, int) else None)


def _identify() -> None:
    """Newer versions of Flower look here for who makes a message."""
    try:
        from flwr.supercore.task_identity import TaskIdentity
    except ImportError:
        return
    TaskIdentity.task_id = _RUN
    TaskIdentity.run_id = _RUN
    TaskIdentity.node_id = _RUN


class _Enough(BaseException):
    """The server has said what we wanted to know. No server catches it by mistake."""


class FirstMessage(Grid):
    """Listens to a server app until it sends its first model; nobody answers it."""

    def __init__(self, clients: int) -> None:
        self._clients = clients
        self._lock = threading.Lock()
        self.model: Tensors | Sequence[Any] | None = None
        #: What the server says beside the model, but for the number of the round.
        self.config: dict[str, Scalar] = {}

    def of(self, server: Any, run_config: Mapping[str, Scalar]) -> Tensors | Sequence[Any]:
        """Runs a server app up to its first message. Returns the model that is in it."""
        context = Context(
            run_id=_RUN, node_id=0, node_config={}, state=RecordDict(), run_config=dict(run_config)
        )
        flower_log = logging.getLogger("flwr")
        level = flower_log.level
        # Of rounds that will not be.
        flower_log.setLevel(logging.WARNING)
        _identify()
        try:
            server(self, context)
        except _Enough:
            pass
        except Exception as e:
            # A server may not get over the silence that it meets.
            if self.model is None:
                raise ArgumentError(
                    f"the app's serverapp has failed: {type(e).__name__}: {e}; name the model to "
                    "begin with"
                ) from e
        finally:
            flower_log.setLevel(level)
        if self.model is None:
            raise ArgumentError(
                "the app's serverapp has sent no model to train; name the model to begin with"
            )
        return self.model

    def set_run(self, run: Any) -> None:
        """It has none."""

    @property
    def run(self) -> Any:
        return types.SimpleNamespace(run_id=_RUN)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        make: Any = Message
        metadata = Metadata(
            run_id=_RUN,
            message_id="",
            src_node_id=0,
            dst_node_id=dst_node_id,
            reply_to_message_id="",
            group_id=group_id,
            created_at=0.0,
            ttl=ttl or _TTL_SECONDS,
            message_type=message_type,
        )
        made: Message = make(metadata=metadata, content=content)
        return made

    def get_node_ids(self) -> Iterable[int]:
        return range(1, self._clients + 1)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        self._hear(messages)
        return []

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return []

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        self._hear(messages)
        return []

    def _hear(self, messages: Iterable[Message]) -> None:
        for message in messages:
            records = list(message.content.array_records.values())
            if message.metadata.message_type.split(".")[0] == "train" and records:
                with self._lock:
                    if self.model is None:
                        self._take(message, records[0])
                raise _Enough
            if message.metadata.message_type == "get_parameters":
                raise ArgumentError("its strategy asks a client for the model to begin with")

    def _take(self, message: Message, arrays: Any) -> None:
        values = {name: array.numpy() for name, array in arrays.items()}
        numbered = list(values) == [str(i) for i in range(len(values))]
        self.model = list(values.values()) if numbered else values
        for record in message.content.config_records.values():
            self.config.update(_scalars(record))


def _scalars(record: ConfigRecord) -> dict[str, Scalar]:
    return {
        name: value
        for name, value in record.items()
        if isinstance(value, bool | int | float | str) and name != "server-round"
    }
