# SPDX-License-Identifier: Apache-2.0
"""A round that a trainer is asked to take part in, and its update."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .chunks import ModelFile
from .connection import Memory
from .errors import ModelMismatch, TributaryError
from .messages import MAX_METRICS, Expected, Kind, Plan, Receipt, RoundId, Scalar, kept_metrics
from .own import OwnTensors
from .tensors import (
    Array,
    Layout,
    Tensors,
    add_into,
    as_numpy,
    copy_into,
    problems,
    require,
    squared_distance,
    subtract_into,
)

if TYPE_CHECKING:
    import torch


#: A metric that the client computes by itself: the square of how far the update is from the model.
SQUARED_NORM = "squared-norm"


log = logging.getLogger("tributary")


class Sender(Protocol):
    """What sends updates: the client."""

    @property
    def own(self) -> OwnTensors: ...

    def memory(self, length: int) -> Memory: ...

    def send(self, update: Update, samples: int, metrics: Mapping[str, float]) -> Receipt: ...


@dataclass(frozen=True)
class _Own:
    """A trainer's own tensors, as far as a plan says that they are personal."""

    tensors: OwnTensors
    expects: Expected

    def personal(self, layout: Layout, name: str) -> bool:
        """Whether a tensor, by the name that it has in the file, never leaves the trainer."""
        tensor_set = layout.set_of(name)
        plain = name.removeprefix(f"{tensor_set}/") if tensor_set else name
        return self.expects.is_personal(plain)

    def views(self, layout: Layout) -> dict[str, Array]:
        return self.tensors.views(layout, lambda name: self.personal(layout, name))

    def torch_views(self, layout: Layout) -> dict[str, torch.Tensor]:
        return self.tensors.torch_views(layout, lambda name: self.personal(layout, name))

    def prepare(self, layout: Layout, tensors: Tensors) -> Callable[[], None]:
        return self.tensors.prepare(layout, lambda name: self.personal(layout, name), tensors)


class TensorSet:
    """Tensors by name: those of a model, or of one of its sets.

    They are views of memory that is mapped, over shared memory the job's own. They may be kept for
    as long as they are of use.
    """

    def __init__(
        self, layout: Layout, model: ModelFile, name: str = "", own: _Own | None = None
    ) -> None:
        self._layout = layout
        self._model = model
        self._set = name
        self._own = own
        self._tensors: dict[str, Array] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the tensors, in the order of the model that ``save_model`` was given.

        A file of another writer may say nothing of that; then it is the order of the file.
        """
        return [name for name, _ in self._places()]

    def _places(self) -> list[tuple[str, str]]:
        """Each name, and that in the file."""
        if not self._set:
            return [(name, name) for name in self._layout.names]
        return [(n.removeprefix(f"{self._set}/"), n) for n in self._layout.names_in(self._set)]

    @property
    def tensors(self) -> Mapping[str, Array]:
        """Read-only arrays by name. Elements of BF16 and F8 need ``ml_dtypes``."""
        if self._tensors is None:
            views = self._layout.views(self._model.read_only)
            mine = self._own.views(self._layout) if self._own is not None else {}
            self._tensors = {name: mine.get(at, views[at]) for name, at in self._places()}
        return self._tensors

    def arrays(self) -> list[Array]:
        """A list of the same arrays, in the order of ``names``."""
        return [self.tensors[name] for name in self.names]

    def torch(self) -> dict[str, torch.Tensor]:
        """The same as torch tensors, for ``load_state_dict``. Writing to them harms nobody."""
        views = self._layout.torch_views(self._model.copy_on_write)
        mine = self._own.torch_views(self._layout) if self._own is not None else {}
        return {name: mine.get(at, views[at]) for name, at in self._places()}


class ModelTensors(TensorSet):
    """A model's tensors, and its tensor sets."""

    def __init__(self, name: str, model: ModelFile, own: _Own | None = None) -> None:
        super().__init__(Layout.parse(model.read_only, name), model, own=own)

    @property
    def sets(self) -> Mapping[str, TensorSet]:
        """The tensors that the algorithm needs beside the model's, by the name of their set.

        SCAFFOLD has a set ``control``. A set has a tensor for each floating one of the model, of
        the same name and shape.
        """
        return {
            name: TensorSet(self._layout, self._model, name, self._own)
            for name in self._layout.sets
        }


def check_samples(samples: int) -> int:
    """A number of samples, of whatever integer type."""
    if isinstance(samples, bool) or int(samples) != samples or samples < 1:
        raise ValueError(f"samples is {samples!r}, expected an integer of 1 or more")
    return int(samples)


class GlobalModel(ModelTensors):
    """A model that the job has made, for whoever evaluates it."""

    def __init__(
        self, id: RoundId, model: ModelFile, config: Mapping[str, Scalar] | None = None
    ) -> None:
        super().__init__(f"model {id}", model)
        self.id = id
        self.config: Mapping[str, Scalar] = dict(config or {})

    def __repr__(self) -> str:
        return f"GlobalModel({self.id}, {len(self.names)} tensors)"

    @property
    def number(self) -> int:
        """The round that has made it; 0 is the initial model."""
        return self.id.round

    @property
    def version(self) -> Hashable:
        """What no other model has."""
        return self


class Round(ModelTensors):
    """A round with the model to start from."""

    def __init__(self, plan: Plan, model: ModelFile, sender: Sender) -> None:
        self._mine = _Own(sender.own, plan.expects)
        super().__init__(f"model {plan.model}", model, self._mine)
        # However often this round is sent, its differences are from these.
        self._mine_at_first = self._mine.views(self._layout)
        self._plan = plan
        self._sender = sender

    def __repr__(self) -> str:
        return f"Round({self.id}, {self.kind}, {len(self.names)} tensors)"

    @property
    def number(self) -> int:
        """Counts from 1."""
        return self._plan.id.round

    @property
    def id(self) -> RoundId:
        """Round and epoch, which together name this opening of the round."""
        return self._plan.id

    @property
    def kind(self) -> Kind:
        """What the job adds up: ``WEIGHTS``, or ``DELTA``, the difference from the model."""
        return self._plan.kind

    @property
    def deadline_seconds(self) -> float:
        """From the round's opening; 0 for none."""
        return self._plan.deadline_seconds

    @property
    def config(self) -> Mapping[str, Scalar]:
        """What the job wants trainers to know (``rounds.config`` in ``job.yaml``)."""
        return dict(self._plan.config)

    @property
    def model_round(self) -> int:
        """The round that has made the model; 0 is the initial one."""
        return self._plan.model.round

    @property
    def measured(self) -> Mapping[str, float]:
        """What all trainers together have found out about the model, weighted by samples.

        Empty where they were not asked (``rounds.evaluate-every``).
        """
        return dict(self._plan.measured)

    @property
    def version(self) -> Hashable:
        """What no other model has that a round starts from.

        With personal tensors, no two trainers start from the same.
        """
        if self.expects.personal:
            return self
        return self._plan.job, self._plan.run, self._plan.model

    @property
    def run(self) -> str:
        """The submission of the job that opened the round."""
        return self._plan.run

    @property
    def expects(self) -> Expected:
        """What the job expects of an update, besides the model's tensors."""
        return self._plan.expects

    def named(self, tensors: Tensors | Sequence[Any]) -> Tensors:
        """A list of tensors in the order of ``names``, by name."""
        return self._named(tensors, self, "the model")

    def _named(self, tensors: Tensors | Sequence[Any], of: TensorSet, what: str) -> Tensors:
        if isinstance(tensors, Mapping):
            return tensors
        if not isinstance(tensors, Sequence):
            raise TypeError(
                f"round {self.id}: {type(tensors).__name__}; expected tensors by name, or a list"
            )
        if len(tensors) != len(of.names):
            raise ModelMismatch(
                f"round {self.id}: {len(tensors)} tensors, {what} has {len(of.names)}: "
                f"{', '.join(of.names[:10])}"
            )
        return dict(zip(of.names, tensors, strict=True))

    def _whole(
        self,
        tensors: Tensors | Sequence[Any],
        sets: Mapping[str, Tensors | Sequence[Any]] | None,
    ) -> Tensors:
        """All tensors by the names that they have in the file."""
        whole = dict(self.named(tensors))
        for name, its in (sets or {}).items():
            if name not in self.sets:
                raise ModelMismatch(
                    f"round {self.id}: the model has no set '{name}', it has {sorted(self.sets)}"
                )
            named = self._named(its, self.sets[name], f"set '{name}'")
            whole.update({f"{name}/{n}": tensor for n, tensor in named.items()})
        return whole

    def check(
        self,
        tensors: Tensors | Sequence[Any],
        *,
        sets: Mapping[str, Tensors | Sequence[Any]] | None = None,
    ) -> None:
        """Raises ModelMismatch if the job would reject these tensors, and says why.

        It looks for tensors that are missing, unknown, reshaped or not finite. It reads all values,
        so it takes about as long as a copy.
        """
        whole = self._whole(tensors, sets)
        layout = self._sent(whole)
        personal = {n: t for n, t in whole.items() if self._personal(n)}
        require(
            f"round {self.id}",
            problems(layout, {n: t for n, t in whole.items() if n not in personal}),
        )
        if personal:
            known = [n for n in personal if n in self._layout.all_names]
            require(f"round {self.id}", problems(self._layout.only(known), personal))

    def _personal(self, name: str) -> bool:
        return self._mine.personal(self._layout, name)

    def _sent(self, given: Iterable[str] | None = None) -> Layout:
        """The layout of an update: of what is given, as far as that may be less than all."""
        sent = [n for n in self._layout.all_names if not self._personal(n)]
        if self.expects.partial and given is not None:
            there = set(given)
            sent = [n for n in sent if n in there]
            if not sent:
                raise ModelMismatch(
                    f"round {self.id}: none of the model's tensors is among "
                    f"{sorted(there)[:10]}; it has {', '.join(self.names[:10])}"
                )
            self._require_pairs(sent)
        if len(sent) == len(self._layout.tensors):
            return self._layout
        return self._layout.only(sent)

    def _require_pairs(self, sent: Sequence[str]) -> None:
        """What an algorithm does with a tensor needs those of all sets."""
        there = set(sent)
        for name in self._layout.all_names:
            tensor_set = self._layout.set_of(name)
            partner = name.removeprefix(f"{tensor_set}/") if tensor_set else name
            if (name in there) != (partner in there):
                missing, other = (partner, name) if name in there else (name, partner)
                raise ModelMismatch(
                    f"round {self.id}: tensor '{missing}' is missing; it goes with '{other}', "
                    f"since the model has tensor sets (sets=)"
                )

    def update(self, names: Iterable[str] | None = None) -> Update:
        """Begins an update that is written in place: over shared memory, where it is folded.

        An update that was begun before and not sent is given up. It has no personal tensors:
        whoever writes in place keeps those for himself. Where updates may be partial, it has those
        of ``names``; a set's tensor is called ``SET/NAME``.

        Raises ModelMismatch for names that are none of the model's, or where updates are whole.
        """
        if names is None:
            return self._begin(None)
        if isinstance(names, str):
            raise TypeError(f"names is '{names}', expected a list of names")
        if not self.expects.partial:
            raise ModelMismatch(
                f"round {self.id}: the job takes no partial updates (model.partial-updates); "
                "leave names out"
            )
        wanted = list(names)
        known = {n for n in self._layout.all_names if not self._personal(n)}
        require(
            f"round {self.id}",
            (f"an update has no tensor '{n}'" for n in wanted if n not in known),
        )
        return self._begin(wanted)

    def _begin(
        self, given: Iterable[str] | None, keep: Callable[[], None] = lambda: None
    ) -> Update:
        return Update(
            self._plan,
            self._sent(given),
            self._sender,
            lambda: self._layout.views(self._model.read_only),
            keep,
        )

    def fill(
        self,
        tensors: Tensors | Sequence[Any],
        *,
        sets: Mapping[str, Tensors | Sequence[Any]] | None = None,
        delta: bool = False,
    ) -> Update:
        """An update with what training has made of the model, as ``send`` takes it."""
        whole = self._whole(tensors, sets)
        personal = {n: t for n, t in whole.items() if self._personal(n)}
        update = self._begin(whole, self._kept(personal, delta))
        base = (
            self._layout.views(self._model.read_only) if delta != (self.kind == "DELTA") else None
        )
        update.fill({n: t for n, t in whole.items() if n not in personal}, base, delta)
        return update

    def _kept(self, personal: Tensors, delta: bool) -> Callable[[], None]:
        """Checks personal tensors. What it returns keeps them, once the update is through.

        Of a difference, it is what it makes of those that the round began with.
        """
        if not personal:
            return lambda: None
        known = set(self._layout.all_names)
        unknown = (f"the model has no tensor '{n}'" for n in personal if n not in known)
        require(f"round {self.id}", unknown)
        if delta:
            before = {**self._layout.views(self._model.read_only), **self._mine_at_first}
            personal = {n: before[n] + as_numpy(t) for n, t in personal.items()}
        return self._mine.prepare(self._layout, personal)

    def send(
        self,
        tensors: Tensors | Sequence[Any] | Update,
        *,
        samples: int,
        metrics: Mapping[str, float] | None = None,
        sets: Mapping[str, Tensors | Sequence[Any]] | None = None,
        delta: bool = False,
    ) -> Receipt:
        """Sends an update and waits for its receipt, sending again as long as none comes.

        ``tensors`` are what training has made of the model: arrays or torch tensors by name, a
        list of them in the order of ``names``, or an update of ``update()``, which is sent as it
        is. The job may want the difference from the model; it is computed here. With ``delta``,
        the tensors are differences already.

        ``samples`` is the update's weight, at least 1. ``metrics`` are numbers for people; the
        job's algorithm may compute with some of them, which ``expects.metrics`` names. ``sets``
        are what training has made of the tensors of ``Round.sets``.

        If the job takes partial updates, tensors may be left out. Personal tensors are not sent;
        with the receipt, they become what this client's next rounds begin with.

        Returns the receipt. If the round goes on without this update, and nothing is wrong with
        it, ``receipt.counts`` is false, and ``receipt.reason`` says why: it was LATE, for example.
        Raises Rejected if the update is wrong, ModelMismatch if it does not even fit, Unreachable
        if the broker stays away.
        """
        update = (
            tensors if isinstance(tensors, Update) else self.fill(tensors, sets=sets, delta=delta)
        )
        return update.send(samples=samples, metrics=metrics)


class Update(Mapping[str, "Array"]):
    """An update that is written in place: writable arrays by name.

    What is in them at first is left over from something else, so all must be written. After
    ``send`` they are read-only: their memory is used again.
    """

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        sender: Sender,
        base: Callable[[], Mapping[str, Array]],
        keep: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._keep = keep
        self._layout = layout
        self._base = base
        self._sender = sender
        self._memory = sender.memory(layout.length)
        self._use = self._memory.use
        self._memory.buffer[: len(layout.header)] = layout.header
        self._views: dict[str, Array] | None = None
        self._untouched = {t.name for t in layout.tensors if t.elements}
        self._sent = False

    @property
    def plan(self) -> Plan:
        return self._plan

    @property
    def memory(self) -> Memory:
        return self._memory

    def _arrays(self) -> dict[str, Array]:
        if self._views is None:
            self._views = self._layout.views(self._memory.buffer)
        return self._views

    def _check_mine(self) -> None:
        if self._memory.use != self._use:
            raise TributaryError(
                f"update for round {self._plan.id}: it was given up, because another one was begun "
                "or the client was closed; write the newer one"
            )

    def __contains__(self, name: object) -> bool:
        # To ask for it is not to write it.
        return name in set(self._layout.all_names)

    def __getitem__(self, name: str) -> Array:
        self._check_mine()
        array = self._arrays()[name]
        self._untouched.discard(name)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout.all_names)

    def __len__(self) -> int:
        return len(self._layout.tensors)

    def torch(self) -> dict[str, torch.Tensor]:
        """The same memory as writable torch tensors, for example for ``copy_``."""
        self._check_mine()
        self._untouched.clear()
        return self._layout.torch_views(self._memory.buffer)

    def fill(self, tensors: Tensors, base: Tensors | None = None, delta: bool = False) -> None:
        """Writes all tensors; from a base, the difference or, with ``delta``, the sum."""
        known = self._layout.tensors
        names = {t.name for t in known}
        unknown = [f"the model has no tensor '{n}'" for n in tensors if n not in names]
        missing = [self._missing(t.name) for t in known if t.name not in tensors]
        require(f"round {self._plan.id}", iter(unknown + missing))
        try:
            for name in self:
                if base is None:
                    copy_into(self[name], name, tensors[name])
                elif delta:
                    add_into(self[name], name, tensors[name], base[name])
                else:
                    subtract_into(self[name], name, tensors[name], base[name])
        except ModelMismatch as e:
            raise ModelMismatch(f"round {self._plan.id}: {e}") from None

    def _missing(self, name: str) -> str:
        tensor_set = self._layout.set_of(name)
        if not tensor_set:
            return f"tensor '{name}' is missing"
        plain = name.removeprefix(f"{tensor_set}/")
        return (
            f"tensor '{plain}' of set '{tensor_set}' is missing; give it with "
            f"sets={{'{tensor_set}': ...}}"
        )

    def complete(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Metrics with what the job's algorithm computes with, as far as the client knows it.

        Raises ValueError if another one is missing.
        """
        wanted = self._plan.expects.metrics
        # The job keeps the first by name, whatever it needs.
        others = sorted(set(metrics) - set(wanted))[: MAX_METRICS - len(wanted)]
        whole = {name: value for name, value in metrics.items() if name in (*wanted, *others)}
        left_out = sorted(set(metrics) - set(kept_metrics(whole)))
        if left_out:
            log.warning(
                "round %s: metrics %s are left out: they are not finite, too many, or their names "
                "cannot be sent",
                self._plan.id,
                left_out,
            )
        if SQUARED_NORM in wanted and SQUARED_NORM not in whole:
            whole[SQUARED_NORM] = self._squared_norm()
        for name in wanted:
            if name in whole and not math.isfinite(whole[name]):
                raise ValueError(
                    f"round {self._plan.id}: metric '{name}' is {whole[name]}; the job's algorithm "
                    "computes with it, and needs a finite number"
                )
        missing = [name for name in wanted if name not in whole]
        if missing:
            raise ValueError(
                f"round {self._plan.id}: metrics {missing} are missing; the job's algorithm "
                f"computes with them: metrics={{'{missing[0]}': ...}}"
            )
        return whole

    def _squared_norm(self) -> float:
        base = self._base() if self._plan.kind == "WEIGHTS" else {}
        return sum(
            squared_distance(self._arrays()[t.name], base.get(t.name))
            for t in self._layout.tensors
            if t.dtype.floating and self._layout.set_of(t.name) == ""
        )

    def written(self) -> memoryview:
        """The whole file that is sent. Raises ModelMismatch while tensors were never written."""
        self._check_mine()
        if self._untouched:
            raise ModelMismatch(
                f"update for round {self._plan.id}: tensors {sorted(self._untouched)[:5]} have not "
                "been written; ask for them by name and fill them"
            )
        return self._memory.buffer

    def send(self, *, samples: int, metrics: Mapping[str, float] | None = None) -> Receipt:
        """The same as ``Round.send`` with this update."""
        check_samples(samples)
        for name, value in (metrics or {}).items():
            if isinstance(value, str) or not hasattr(value, "__float__"):
                raise TypeError(f"metric {name!r} is {value!r}, expected a number")
        self.written()
        for view in (self._views or {}).values():
            view.flags.writeable = False
        receipt = self._sender.send(self, int(samples), self.complete(metrics or {}))
        self._keep()
        return receipt
