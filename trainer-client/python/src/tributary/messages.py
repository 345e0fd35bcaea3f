# SPDX-License-Identifier: Apache-2.0
"""The JSON messages between a job and its trainers, as docs/protocol.md has them."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from .errors import ArgumentError, Malformed, Unsupported
from .topics import BUCKETS, bucket

VERSION = 1

#: The largest message that is read, in bytes: a plan for a hundred thousand trainers has a tenth.
MAX_JSON_BYTES = 1 << 27

_STATES = ("OPEN", "EVALUATING", "FINISHED", "ENDED")

#: What a message may ask this version to understand.
UNDERSTOOD = ("sets", "personal", "asked")

MAX_METRICS = 32
MAX_METRIC_NAME = 64

Kind = Literal["WEIGHTS", "DELTA"]
Scalar = bool | int | float | str

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127})*")


def check_name(what: str, name: str) -> str:
    """Returns ``name`` if it can name a job, a trainer or an instance."""
    if not _NAME.fullmatch(name):
        raise ArgumentError(
            f"{what} '{name[:60]}': expected letters, digits, '.', '_' and '-', at most 128, "
            "the first a letter or a digit"
        )
    return name


def check_group(group: str) -> str:
    """Returns ``group`` if it is one or more names separated by '/'."""
    if len(group) > 512 or not _GROUP.fullmatch(group):
        raise ArgumentError(
            f"group '{group[:60]}': expected names separated by '/', such as eu/west"
        )
    return group


class RoundId(NamedTuple):
    """A round and the epoch of its opening. Also the version of the model that it produced."""

    round: int
    epoch: int

    @property
    def reopened(self) -> int:
        """How often the round was opened again or the job restored: the epoch's upper half."""
        return self.epoch >> 32

    def __str__(self) -> str:
        nonce = self.epoch & 0xFFFFFFFF
        return f"{self.round}.{self.reopened}" + (f"-{nonce:08x}" if nonce else "")


#: A run, and a round that it has opened.
Opening = tuple[str, RoundId]


@dataclass(frozen=True)
class Expected:
    """What a plan expects of updates, besides the model's tensors and the number of samples."""

    #: Names of tensor sets.
    sets: Sequence[str] = ()
    #: Names of metrics that the algorithm computes with.
    metrics: Sequence[str] = ()
    #: Whether an update may leave tensors out.
    partial: bool = False
    #: Patterns of names of tensors that never leave the trainer.
    personal: Sequence[str] = ()

    def is_personal(self, tensor: str) -> bool:
        """Whether a tensor of the model never leaves the trainer."""
        return any(
            re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), tensor, re.DOTALL)
            for pattern in self.personal
        )


@dataclass(frozen=True)
class TrainerShare:
    """Some of the trainers: those in so many buckets of ids, the first bucket after the last."""

    start: int
    buckets: int

    def has(self, trainer: str) -> bool:
        """Whether a trainer is one of them."""
        return (bucket(trainer) - self.start) % BUCKETS < self.buckets


@dataclass(frozen=True)
class Plan:
    """A round plan: what the job asks of its trainers now."""

    job: str
    state: str
    id: RoundId
    model: RoundId
    kind: Kind
    deadline_seconds: float
    restores: int
    run: str
    end: str
    #: What the job's user wants trainers to know.
    config: Mapping[str, Scalar] = field(default_factory=dict)
    expects: Expected = field(default_factory=Expected)
    #: Who is to say what the model is worth; None unless EVALUATING.
    asked: TrainerShare | None = None
    #: Means of what trainers have found out about the model; empty where they were not asked.
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def opening(self) -> Opening:
        """What no other opening of a round has, in this run or another."""
        return self.run, self.id

    @property
    def open(self) -> bool:
        """Whether updates are wanted."""
        return self.state == "OPEN"

    @property
    def evaluating(self) -> bool:
        """Whether trainers are asked what the model is worth."""
        return self.state == "EVALUATING"

    @property
    def needs_model(self) -> bool:
        """Whether there is something to do with the model."""
        return self.open or self.evaluating

    @property
    def ended(self) -> bool:
        """Whether the job answers nobody any more."""
        return self.state == "ENDED"

    @property
    def forged(self) -> bool:
        """Whether it says that the job has ended, without the proof that only the job can give."""
        name = hashlib.sha256(self.end.encode(errors="replace")).hexdigest()[:32]
        return self.ended and name != self.run


@dataclass(frozen=True)
class Receipt:
    """The job's answer to a JOIN or to an update.

    ``status`` is JOINED, COMMITTED, DUPLICATE, REJECTED or RESEND. ``reason`` and ``text`` say why
    it is REJECTED. ``attempt`` and ``content_id`` say which sending is answered.
    """

    job: str
    run: str
    trainer: str
    instance: str
    id: RoundId
    attempt: int
    content_id: str
    restores: int
    status: str
    reason: str
    text: str
    token: str

    @property
    def counts(self) -> bool:
        """Whether the update is in the round's model."""
        return self.status in ("COMMITTED", "DUPLICATE")

    def __repr__(self) -> str:
        # Without the token, which is secret.
        why = f", {self.reason}: {self.text}" if self.status == "REJECTED" else ""
        return f"Receipt({self.status} for round {self.id}{why})"


@dataclass(frozen=True)
class DeadLetter:
    """What the job has rejected, and why."""

    source: str
    trainer: str
    id: RoundId
    reason: str
    text: str


@dataclass(frozen=True)
class Evaluation:
    """What the job's evaluator, or its trainers, have found out about a model."""

    model: RoundId
    metrics: Mapping[str, float]
    #: Why no more rounds are needed; empty where they are.
    stop: str = ""
    #: On how many samples a trainer has; 0 where that is not said.
    samples: int = 0


@dataclass(frozen=True)
class MetricSummary:
    """One metric over the updates that have it: how many, their mean weighted by samples, their
    sum, the least and the largest.
    """

    count: int
    mean: float
    sum: float
    min: float
    max: float


@dataclass(frozen=True)
class Status:
    """How a round stands; the job says so at each change.

    ``state`` is WAITING, EVALUATING, OPEN, CLOSED, ABANDONED or FINISHED. ``groups`` has the
    updates that are counted and those that are expected, by group; while EVALUATING, answers.
    ``metrics`` are the trainers' own, as their mean weighted by samples. ``evaluation`` is the
    newest there is. ``note`` says why the job ends before its last round, or what is missing; it
    may be empty. ``summaries`` have more of the same metrics, and ``group_summaries`` those of each
    group.
    """

    job: str
    id: RoundId
    state: str
    updates: int
    expected: int
    groups: Mapping[str, tuple[int, int]]
    rejected: int
    duplicates: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    note: str = ""
    summaries: Mapping[str, MetricSummary] = field(default_factory=dict)
    group_summaries: Mapping[str, Mapping[str, MetricSummary]] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A model that the job has made.

    ``bytes`` is the length of its file. ``delay_ms`` is the time from the round's last update to
    the complete file. ``rejected`` says why the round's own model was rejected, and this is the
    former one once more; it is empty where it was not.
    """

    job: str
    run: str
    id: RoundId
    bytes: int
    delay_ms: float
    rejected: str


class Fields:
    """Reads typed values from JSON or from the properties of a chunk, naming what is wrong."""

    def __init__(self, what: str, values: Mapping[str, Any]) -> None:
        self._what = what
        self._values = values

    def _value(self, name: str) -> Any:
        value = self._values.get(name)
        if value is None:
            raise Malformed(f"{self._what}: '{name}' is missing")
        return value

    def text(self, name: str) -> str:
        value = self._value(name)
        if not isinstance(value, str):
            raise Malformed(f"{self._what}: '{name}' is {str(value)[:60]}, expected a text")
        return value

    def integer(self, name: str, lowest: int = 0, highest: int = (1 << 63) - 1) -> int:
        value = self._value(name)
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            value = int(value)
        if type(value) is not int or not lowest <= value <= highest:
            raise Malformed(
                f"{self._what}: '{name}' is {str(value)[:60]}, "
                f"expected an integer from {lowest} to {highest}"
            )
        return value

    def number(self, name: str) -> float:
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Malformed(f"{self._what}: '{name}' is {str(value)[:60]}, expected a number")
        return float(value)

    def crc(self, name: str) -> int:
        value = self.text(name)
        if not re.fullmatch(r"[0-9a-f]{8}", value):
            raise Malformed(
                f"{self._what}: '{name}' is {value[:60]}, expected 8 hexadecimal digits"
            )
        return int(value, 16)

    def round_id(self, round_name: str = "round", epoch_name: str = "epoch") -> RoundId:
        return RoundId(
            self.integer(round_name, 0, (1 << 31) - 1), self.integer(epoch_name, 0, (1 << 53) - 1)
        )


def require_understood(what: str, must: object) -> None:
    """Rejects a message that needs more than this version understands."""
    wanted = must.split(",") if isinstance(must, str) else must
    names = [n for n in wanted if n not in UNDERSTOOD] if isinstance(wanted, list) else wanted
    if names:
        raise Unsupported(
            f"{what}: it must be read with {names}, which version {VERSION} of the protocol does "
            "not have; use a newer version of this package"
        )


D = TypeVar("D")


def _decoding(read: Callable[[bytes], D]) -> Callable[[bytes], D]:
    """Whatever is wrong with a message, it is the message's fault: nobody's thread ends by it."""

    @functools.wraps(read)
    def decode(data: bytes) -> D:
        try:
            return read(data)
        except Malformed:
            raise
        except (ValueError, TypeError, OverflowError, RecursionError) as e:
            raise Malformed(f"{read.__name__}: {type(e).__name__}: {str(e)[:200]}") from None

    return decode


def _object(data: bytes, what: str) -> dict[str, Any]:
    if len(data) > MAX_JSON_BYTES:
        raise Malformed(f"{what}: it has {len(data)} bytes, expected at most {MAX_JSON_BYTES}")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise Malformed(f"{what}: expected JSON: {e}") from None
    if not isinstance(value, dict):
        raise Malformed(f"{what}: expected a JSON object, got {type(value).__name__}")
    require_understood(what, value.get("must"))
    return value


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as compact UTF-8 JSON, with the protocol's version."""
    return json.dumps({**message, "version": VERSION}, separators=(",", ":")).encode()


def control(kind: str, job: str, trainer: str, instance: str, group: str) -> bytes:
    """A control message: JOIN, HEARTBEAT or LEAVE."""
    return encode(
        {"type": kind, "job": job, "trainer": trainer, "instance": instance, "group": group}
    )


def evaluation(
    job: str, trainer: str, instance: str, group: str, run: str, about: Evaluation
) -> dict[str, Any]:
    """A control message of the evaluator, or of a trainer that was asked, to be encoded."""
    return {
        "type": "EVALUATION",
        "job": job,
        "trainer": trainer,
        "instance": instance,
        "group": group,
        "evaluation": {
            "run": run,
            "round": about.model.round,
            "epoch": about.model.epoch,
            "metrics": kept_metrics(about.metrics),
            **({"samples": about.samples} if about.samples else {}),
            "stop": about.stop,
        },
    }


@_decoding
def decode_plan(data: bytes) -> Plan:
    """Reads a round plan."""
    plan = _object(data, "round plan")
    read = Fields("round plan", plan)
    state = read.text("state")
    if state not in _STATES:
        raise Malformed(
            f"round plan: 'state' is {state[:60]}, expected one of {', '.join(_STATES)}"
        )
    if (state == "EVALUATING") != isinstance(plan.get("asked"), dict):
        raise Malformed(f"round plan: 'state' is {state}, 'asked' is {str(plan.get('asked'))[:60]}")
    kind = read.text("kind")
    if kind not in ("WEIGHTS", "DELTA"):
        raise Malformed(f"round plan: 'kind' is {kind[:60]}, expected WEIGHTS or DELTA")
    return Plan(
        job=read.text("job"),
        state=state,
        id=read.round_id(),
        model=read.round_id("modelRound", "modelEpoch"),
        kind="DELTA" if kind == "DELTA" else "WEIGHTS",
        deadline_seconds=read.number("deadlineSeconds"),
        restores=read.integer("restores"),
        run=check_name("run", read.text("run")),
        end=read.text("end"),
        config=_scalars(plan.get("config")),
        expects=_expected(plan.get("expects")),
        asked=_share(plan.get("asked")),
        measured=_numbers(plan.get("measured")),
    )


def _share(found: Any) -> TrainerShare | None:
    if not isinstance(found, dict):
        return None
    read = Fields("round plan", found)
    return TrainerShare(read.integer("from", 0, BUCKETS - 1), read.integer("buckets", 1, BUCKETS))


def _expected(found: Any) -> Expected:
    """What a plan expects. An earlier version expects nothing more."""
    if not isinstance(found, dict):
        return Expected()

    def names(key: str) -> list[str]:
        given = found.get(key) or []
        if not isinstance(given, list) or not all(isinstance(n, str) for n in given):
            raise Malformed(f"round plan: 'expects' has {key} {str(given)[:60]}, expected texts")
        return given

    return Expected(
        names("sets"), names("metrics"), found.get("partial") is True, names("personal")
    )


def _scalars(found: Any) -> dict[str, Scalar]:
    """The numbers, texts and booleans of an object. An earlier version has none."""
    if not isinstance(found, dict):
        return {}
    return {n: v for n, v in found.items() if isinstance(v, bool | int | float | str)}


def receipt_of(value: Mapping[str, Any]) -> Receipt:
    """The receipt in a JSON object."""
    require_understood("receipt", value.get("must"))
    read = Fields("receipt", value)
    return Receipt(
        job=read.text("job"),
        run=read.text("run"),
        trainer=read.text("trainer"),
        instance=read.text("instance"),
        id=read.round_id(),
        attempt=read.integer("attempt"),
        content_id=read.text("contentId"),
        restores=read.integer("restores"),
        status=read.text("status"),
        reason=read.text("reason"),
        text=read.text("text"),
        token=read.text("token"),
    )


@_decoding
def decode_receipt(data: bytes) -> Receipt:
    """Reads a receipt."""
    return receipt_of(_object(data, "receipt"))


@_decoding
def decode_receipts(data: bytes) -> list[Receipt]:
    """Reads the file with a trainer's newest receipts, the oldest first."""
    found = _object(data, "receipts").get("receipts")
    if not isinstance(found, list):
        raise Malformed("receipts: expected a list 'receipts'")
    return [receipt_of(one) for one in found if isinstance(one, dict)]


@_decoding
def decode_dead_letter(data: bytes) -> DeadLetter:
    """Reads a dead letter."""
    read = Fields("dead letter", _object(data, "dead letter"))
    return DeadLetter(
        read.text("source"),
        read.text("trainer"),
        read.round_id(),
        read.text("reason"),
        read.text("text"),
    )


def _numbers(found: Any) -> dict[str, float]:
    """The finite numbers of an object. An earlier version has none."""
    return {
        name: float(value)
        for name, value in _scalars(found).items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _group(found: Any) -> tuple[int, int]:
    read = Fields("group of a round status", found if isinstance(found, dict) else {})
    return read.integer("updates"), read.integer("expected")


@_decoding
def decode_status(data: bytes) -> Status:
    """Reads a round status."""
    status = _object(data, "round status")
    read = Fields("round status", status)
    groups = status.get("groups")
    if not isinstance(groups, dict):
        raise Malformed("round status: expected an object 'groups'")
    evaluation = status.get("evaluation")
    return Status(
        job=read.text("job"),
        id=read.round_id(),
        state=read.text("state"),
        updates=read.integer("updates"),
        expected=read.integer("expected"),
        groups={name: _group(one) for name, one in groups.items()},
        rejected=read.integer("rejected"),
        duplicates=read.integer("duplicates"),
        metrics=_numbers(status.get("metrics")),
        evaluation=_evaluation(evaluation) if isinstance(evaluation, dict) else None,
        note=str(status.get("note") or ""),
        summaries=_summaries(status.get("summaries")),
        group_summaries={
            name: _summaries(one.get("metrics"))
            for name, one in groups.items()
            if isinstance(one, dict) and one.get("metrics")
        },
    )


def _summaries(found: Any) -> dict[str, MetricSummary]:
    """Metrics by name. An earlier version has none."""
    if not isinstance(found, dict):
        return {}
    summaries = {}
    for name, one in found.items():
        read = Fields(f"metric '{name}' of a round status", one if isinstance(one, dict) else {})
        summaries[name] = MetricSummary(
            read.integer("count"), *(read.number(n) for n in ("mean", "sum", "min", "max"))
        )
    return summaries


def _evaluation(found: Mapping[str, Any]) -> Evaluation:
    read = Fields("evaluation", found)
    return Evaluation(read.round_id(), _numbers(found.get("metrics")), read.text("stop"))


@_decoding
def decode_model(data: bytes) -> Model:
    """Reads a model description."""
    read = Fields("model description", _object(data, "model description"))
    return Model(
        job=read.text("job"),
        run=check_name("run", read.text("run")),
        id=read.round_id(),
        bytes=read.integer("bytes"),
        delay_ms=read.number("lastUpdateToModelMs"),
        rejected=read.text("rejected"),
    )


def numbers(who: str, metrics: object) -> dict[str, float]:
    """Metrics that an app has returned, as numbers. Raises TypeError where they are none."""
    if not isinstance(metrics, Mapping):
        raise TypeError(f"{who}: {type(metrics).__name__} as metrics, expected numbers by name")
    for name, value in metrics.items():
        if isinstance(value, str) or not hasattr(value, "__float__"):
            raise TypeError(f"{who}: metric '{name}' is {value!r}, expected a number")
    return {str(name): float(value) for name, value in metrics.items()}


def kept_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Those that the job keeps: the first 32 by name that are finite and have a printable name."""
    good = {
        name: float(value)
        for name, value in sorted(metrics.items())
        if len(name) <= MAX_METRIC_NAME and name.isprintable() and math.isfinite(value)
    }
    return dict(list(good.items())[:MAX_METRICS])
