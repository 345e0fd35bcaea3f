# SPDX-License-Identifier: Apache-2.0
"""Lets a Flower app or client take part in a Tributary job, without a change to it.

python -m tributary.flower APP_DIR --connect mqtt://HOST:1883 --job digits --id t-1 --group eu
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import connect
from .client import Client
from .errors import ArgumentError, ModelMismatch, TributaryError
from .messages import Scalar
from .pairs import flat, parse_config, read_toml
from .round import GlobalModel, Round, TensorSet
from .tensors import Array

try:
    from flwr.app import (
        Array as FlowerArray,
    )
    from flwr.app import (
        ArrayRecord,
        ConfigRecord,
        Context,
        Message,
        Metadata,
        RecordDict,
    )
    from flwr.clientapp import ClientApp
except ImportError as e:
    raise ImportError(f"tributary.flower needs Flower; pip install 'flwr>=1.21': {e}") from None

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .connecting import ConnectOptions

log = logging.getLogger("tributary")

#: Weighted by this metric, as Flower's own strategies do it unless told otherwise.
NUM_EXAMPLES = "num-examples"

#: Of a message; nobody here looks at it.
_TTL_SECONDS = 12 * 3600.0

#: Flower's ``Code.EVALUATE_NOT_IMPLEMENTED``.
_EVALUATE_NOT_IMPLEMENTED = 4

#: Mods that speak with Flower's server, so there is nobody here to answer them.
_SERVER_MODS = frozenset({"secagg_mod", "secaggplus_mod"})


def run(
    app: Any,
    uri: str,
    *,
    node_config: Mapping[str, Scalar] | None = None,
    run_config: Mapping[str, Scalar] | None = None,
    config: Mapping[str, Scalar] | None = None,
    evaluate_every: int = 1,
    timeout: float | None = 120.0,
    **options: Unpack[ConnectOptions],
) -> None:
    """Takes part in a job until it is done.

    In each round ``train`` (or ``fit``) is called with the round's model. Its ``num-examples`` is
    the weight of the update, and its other metrics travel with it. A tensor set of the algorithm is
    an ArrayRecord of its name, in the message and in the reply. If the app has ``evaluate``, it
    is called before that with the same model, which is the result of the round before; and between
    rounds, where the job asks for it (``rounds.evaluate-every``).

    Args:
        app: A ``ClientApp``, a ``NumPyClient``, a ``Client``, or a ``client_fn``.
        uri: How the job is reached, as for ``tributary.connect``, which has the other options too.
        node_config: ``context.node_config``, such as ``partition-id`` and ``num-partitions``.
        run_config: ``context.run_config``.
        config: What the app finds as the config of each message, besides ``server-round`` and
            what the job says (``rounds.config``), which this has precedence over.
        evaluate_every: Evaluates in each round of that many; 0 for never.
        timeout: Seconds to wait for the job's answer; None to wait for as long as it takes.

    Raises:
        ModelMismatch: The app returns tensors of another number, name or shape than the model's.
        TributaryError: As ``tributary.connect`` and ``Round.send``.
    """
    node = f"{options['job']}/{options['id']}"
    flower = FlowerClient(app, node_config or {}, run_config or {}, config or {}, node)
    options.setdefault("evaluate", flower.evaluate)
    with connect(uri, timeout=timeout, **options) as client:
        flower.take_part(client, evaluate_every)


@dataclass(frozen=True)
class Trained:
    """What an app's ``train`` has made: tensors, and those of sets, examples, and metrics."""

    arrays: Mapping[str, Array]
    sets: Mapping[str, Mapping[str, Array]]
    samples: int
    metrics: dict[str, float]


class FlowerClient:
    """A Flower app between two messages of a server: the server is the job."""

    def __init__(
        self,
        app: Any,
        node_config: Mapping[str, Scalar],
        run_config: Mapping[str, Scalar],
        config: Mapping[str, Scalar],
        node: str,
    ) -> None:
        self._app = as_client_app(app)
        self._config = dict(config)
        self._evaluates = True
        self._context = Context(
            run_id=1,
            # Apps name files by it.
            node_id=int.from_bytes(hashlib.sha256(node.encode()).digest()[:7], "big"),
            node_config=dict(node_config),
            state=RecordDict(),
            run_config=dict(run_config),
        )
        # An app of before the message API wants other names of records.
        self._legacy = getattr(self._app, "_call", None) is not None

    def take_part(self, client: Client, evaluate_every: int = 1) -> None:
        """Trains all rounds of a job."""
        for round in client.rounds():
            metrics = {}
            if evaluate_every and round.number % evaluate_every == 0:
                metrics = self.evaluate(round)[1]
            trained = self.train(round)
            # What training says of a name is newer than what evaluation says.
            metrics.update(trained.metrics)
            receipt = round.send(
                trained.arrays, samples=trained.samples, metrics=metrics, sets=trained.sets
            )
            log.info("%s: round %d: %s, %s", client.id, round.number, metrics, receipt.status)

    def train(self, round: Round) -> Trained:
        """Calls the app's ``train``."""
        reply = self._ask("train", round)
        _, why = _status(reply)
        if why:
            raise RuntimeError(f"the app's fit has failed: {why}")
        records = dict(reply.array_records)
        sets = {name: _values(records.pop(name)) for name in round.sets if name in records}
        arrays = _one(records, "ArrayRecord", "train")
        metrics = _metrics(reply)
        samples = metrics.pop(NUM_EXAMPLES, metrics.pop("num_examples", None))
        if samples is None or samples != int(samples) or samples < 1:
            raise ValueError(
                f"the app's train says {NUM_EXAMPLES} = {samples}; expected a MetricRecord with "
                f"'{NUM_EXAMPLES}', an integer of 1 or more, which is the weight of its update"
            )
        return Trained(by_name(round, arrays), sets, int(samples), metrics)

    def evaluate(self, round: Round | GlobalModel) -> tuple[int, dict[str, float]]:
        """Calls the app's ``evaluate``, if it has one: the number of examples, and metrics."""
        if not self._evaluates or not has_evaluate(self._app):
            return 0, {}
        reply = self._ask("evaluate", round)
        implemented, why = _status(reply)
        if why:
            # A client without evaluate says so, with a loss that means nothing.
            self._evaluates = implemented
            log.info("the app's evaluate says nothing: %s", why)
            return 0, {}
        metrics = _metrics(reply)
        examples = metrics.pop(NUM_EXAMPLES, metrics.pop("num_examples", 1))
        return int(examples), metrics

    def _ask(self, kind: str, round: Round | GlobalModel) -> Any:
        config: dict[str, Any] = {
            **round.config,
            **self._config,
            "server-round": round.number,
        }
        arrays = ArrayRecord(_arrays(round))
        if self._legacy:
            prefix = "fitins" if kind == "train" else "evaluateins"
            content = RecordDict(
                {f"{prefix}.parameters": arrays, f"{prefix}.config": ConfigRecord(config)}
            )
        else:
            content = RecordDict(
                {
                    "arrays": arrays,
                    "config": ConfigRecord(config),
                    **{name: ArrayRecord(_arrays_of(its)) for name, its in round.sets.items()},
                }
            )
        # As Flower's own tests make one: only a server's process may leave the metadata out.
        make: Any = Message
        message = make(metadata=self._metadata(kind, round), content=content)
        reply = self._app(message, self._context)
        if reply.has_error():
            raise RuntimeError(f"the app's {kind} answers with an error: {reply.error.reason}")
        return reply.content

    def _metadata(self, kind: str, round: Round | GlobalModel) -> Metadata:
        """What a server would say beside its message."""
        return Metadata(
            run_id=self._context.run_id,
            message_id=f"{round.id}-{kind}",
            src_node_id=0,
            dst_node_id=self._context.node_id,
            reply_to_message_id="",
            group_id=str(round.number),
            created_at=time.time(),
            ttl=_TTL_SECONDS,
            message_type=kind,
        )


#: The model that was shown to an app last, as Flower has it: many clients of a process get it.
_shown: tuple[object, dict[str, Any]] = (None, {})


def _arrays(round: Round | GlobalModel) -> dict[str, Any]:
    """A model's tensors as Flower has them, whose data nobody changes."""
    global _shown
    version = round.version
    found, arrays = _shown
    if found != version:
        arrays = _arrays_of(round)
        _shown = (version, arrays)
    return dict(arrays)


def _arrays_of(tensors: TensorSet) -> dict[str, Any]:
    return {n: FlowerArray(tensors.tensors[n]) for n in tensors.names}


def _values(arrays: Any) -> dict[str, Array]:
    return {name: array.numpy() for name, array in arrays.items()}


def as_client_app(app: Any) -> Any:
    """A ``ClientApp`` of whatever Flower takes for a client."""
    if isinstance(app, ClientApp):
        _reject_server_mods(app)
        return app
    if hasattr(app, "to_client"):
        return ClientApp(lambda context: app.to_client())
    if hasattr(app, "fit") and hasattr(app, "evaluate"):
        return ClientApp(lambda context: app)
    if callable(app):

        def client_fn(context: Context) -> Any:
            made = app(context)
            return made.to_client() if hasattr(made, "to_client") else made

        return ClientApp(client_fn)
    raise TypeError(
        f"{type(app).__name__}: expected a ClientApp, a NumPyClient, a Client or a client_fn"
    )


def _reject_server_mods(app: Any) -> None:
    functions = [*getattr(app, "_mods", []), *getattr(app, "_registered_funcs", {}).values()]
    for name in sorted(_SERVER_MODS & {n for f in functions for n in _names(f)}):
        if name:
            raise ValueError(
                f"the app has the mod {name}, which needs Flower's server; take it out: updates "
                "go to a Tributary job"
            )


def _names(function: Any, depth: int = 8) -> set[str]:
    """The name of a function, and of those that it wraps."""
    found = {getattr(function, "__name__", "")}
    for cell in getattr(function, "__closure__", None) or () if depth else ():
        with contextlib.suppress(ValueError):
            inner = cell.cell_contents
            for one in inner if isinstance(inner, list | tuple) else [inner]:
                if callable(one):
                    found |= _names(one, depth - 1)
    return found


def has_evaluate(app: Any) -> bool:
    """Whether there is something to call; a client of before the message API may say no later."""
    registered = getattr(app, "_registered_funcs", {})
    return getattr(app, "_call", None) is not None or "evaluate.default" in registered


def _status(content: Any) -> tuple[bool, str]:
    """Whether a client of before the message API has what was asked for, and why it failed."""
    for name, record in content.config_records.items():
        if name.endswith("res.status") and record.get("code", 0) != 0:
            return record["code"] != _EVALUATE_NOT_IMPLEMENTED, str(
                record.get("message") or f"code {record['code']}"
            )
    return True, ""


def _one(records: Mapping[str, Any], what: str, kind: str) -> Any:
    if len(records) != 1:
        raise ModelMismatch(
            f"the app's {kind} returns {len(records)} of {what}: {sorted(records)}; expected one"
        )
    return next(iter(records.values()))


def _metrics(content: Any) -> dict[str, float]:
    """All numbers that a reply has; lists and texts are left out."""
    found: dict[str, float] = {}
    records: list[Mapping[str, Any]] = [
        *content.metric_records.values(),
        # Where clients of before the message API have theirs.
        *(r for n, r in content.config_records.items() if n.endswith("res.metrics")),
    ]
    for record in records:
        for name, value in record.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name] = value
    return found


def by_name(round: Round, arrays: Any) -> Mapping[str, Array]:
    """An app's tensors by the names of the model.

    An app that knows no names numbers its tensors. They are taken in the order of the model that
    ``save_model`` was given.
    """
    values = _values(arrays)
    if set(values) == set(round.names):
        return values
    if list(values) == [str(i) for i in range(len(values))]:
        found = [np.asarray(value) for value in values.values()]
        wanted = [round.tensors[name].shape for name in round.names]
        if [value.shape for value in found] != wanted:
            raise ModelMismatch(
                f"round {round.id}: the app's tensors have shapes "
                f"{[list(v.shape) for v in found]}, the model's, in its order, "
                f"{[list(s) for s in wanted]} ({', '.join(round.names)}); write the job's model "
                "with tributary.save_model, in the order in which the app has its tensors"
            )
        return dict(zip(round.names, found, strict=True))
    raise ModelMismatch(
        f"round {round.id}: the app's tensors are {', '.join(list(values)[:10])}, the model's "
        f"{', '.join(round.names[:10])}"
    )


def read_app(directory: Path) -> dict[str, Any]:
    """What a Flower app's directory says of it."""
    file = directory / "pyproject.toml"
    try:
        app: dict[str, Any] = read_toml(file.read_text())["tool"]["flwr"]["app"]
        app["components"]["clientapp"].split(":")
        return app
    except OSError as e:
        raise ArgumentError(
            f"{file}: expected a Flower app's pyproject.toml: {e.strerror}"
        ) from None
    except (KeyError, AttributeError, ValueError, TypeError) as e:
        why = f"{e} is missing" if isinstance(e, KeyError) else str(e)
        raise ArgumentError(
            f"{file}: expected [tool.flwr.app.components] clientapp: {why}"
        ) from None


def load_component(directory: Path, app: Mapping[str, Any], name: str) -> Any:
    """The ``clientapp`` or the ``serverapp`` of an app."""
    reference = app["components"][name]
    if str(directory.resolve()) not in sys.path:
        sys.path.insert(0, str(directory.resolve()))
    try:
        module, attribute = reference.split(":")
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as e:
        raise ArgumentError(
            f"{directory / 'pyproject.toml'}: {name} '{reference}' cannot be loaded: {e}"
        ) from None


def load_app(directory: Path) -> tuple[Any, dict[str, Scalar]]:
    """The ``ClientApp`` of a Flower app's directory, and its config."""
    app = read_app(directory)
    if "serverapp" in app["components"]:
        log.info(
            "%s is not run: the job has the rounds and the strategy", app["components"]["serverapp"]
        )
    return load_component(directory, app, "clientapp"), flat(app.get("config", {}))


def override(config: Mapping[str, Scalar], changes: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A config with other values of names that it has."""
    for name in changes:
        if name not in config:
            raise ArgumentError(
                f"--run-config {name}: the app's config has no such name; it has {sorted(config)}"
            )
    return {**config, **changes}


def main(arguments: list[str] | None = None) -> int:
    """Runs a Flower app as a trainer. Returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tributary.flower", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("app", type=Path, help="directory of the app, with its pyproject.toml")
    parser.add_argument("--connect", required=True, metavar="URI", help="how the job is reached")
    parser.add_argument("--job", required=True, help="the job's name")
    parser.add_argument("--id", required=True, help="this trainer's id, unique in the job")
    parser.add_argument("--group", default="default", help="its group in the job's topology")
    parser.add_argument("--node-config", action="append", default=[], metavar="'NAME=VALUE ...'")
    parser.add_argument("--run-config", action="append", default=[], metavar="'NAME=VALUE ...'")
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="'NAME=VALUE ...'",
        help="config of each message, beside what the job says",
    )
    parser.add_argument("--evaluate-every", type=int, default=1, metavar="N", help="0 for never")
    parser.add_argument(
        "--timeout", type=float, default=120.0, metavar="S", help="seconds to wait for the job"
    )
    parser.add_argument("--state-dir", help="where the unanswered update is kept")
    parser.add_argument("--user", default="", help="MQTT user name")
    parser.add_argument(
        "--password",
        default=os.environ.get("TRIBUTARY_PASSWORD", ""),
        help="its password; others see it in the list of processes, unless it is in the "
        "environment variable TRIBUTARY_PASSWORD",
    )
    parser.add_argument("--ca-file", default="", help="PEM file with the certificates to trust")
    parser.add_argument("--certificate", default="", help="PEM file of the client, and")
    parser.add_argument("--key", default="", help="its key")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        app, run_config = load_app(given.app)
        run_config = override(run_config, parse_config(given.run_config))
        node_config, config = parse_config(given.node_config), parse_config(given.config)
        app = as_client_app(app)
    except (ValueError, TypeError) as e:
        parser.exit(2, f"{parser.prog}: {e}\n")
    try:
        run(
            app,
            given.connect,
            node_config=node_config,
            run_config=run_config,
            config=config,
            evaluate_every=given.evaluate_every,
            timeout=given.timeout,
            job=given.job,
            id=given.id,
            group=given.group,
            user=given.user,
            password=given.password,
            ca_file=given.ca_file,
            certificate=given.certificate,
            key=given.key,
            state_dir=given.state_dir,
        )
    except (ArgumentError, ImportError) as e:
        parser.exit(2, f"{parser.prog}: {e}\n")
    except TributaryError as e:
        print(f"{given.id}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
