# SPDX-License-Identifier: Apache-2.0
"""A round that a trainer is asked to take part in, and its update."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .chunks import ModelFile
from .connection import Memory
from .errors import ModelMismatch, TributaryError
from .messages import Kind, Plan, Receipt, RoundId, Scalar
from .tensors import Array, Layout, Tensors, add_into, copy_into, problems, require, subtract_into

if TYPE_CHECKING:
    import torch


class Sender(Protocol):
    """What sends updates: the client."""

    def memory(self, length: int) -> Memory: ...

    def send(self, update: Update, samples: int, metrics: Mapping[str, float]) -> Receipt: ...


class ModelTensors:
    """A model's tensors.

    They are views of memory that is mapped, over shared memory the job's own. They may be kept for
    as long as they are of use.
    """

    def __init__(self, name: str, model: ModelFile) -> None:
        self._model = model
        self._layout = Layout.parse(model.read_only, name)
        self._tensors: dict[str, Array] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the model's tensors, in the order of the model that ``save_model`` was given.

        A file of another writer may say nothing of that; then it is the order of the file.
        """
        return list(self._layout.names)

    @property
    def tensors(self) -> Mapping[str, Array]:
        """The model as read-only arrays by name. Elements of BF16 and F8 need ``ml_dtypes``."""
        if self._tensors is None:
            self._tensors = self._layout.views(self._model.read_only)
        return self._tensors

    def arrays(self) -> list[Array]:
        """The model as a list of read-only arrays, in the order of ``names``."""
        return [self.tensors[name] for name in self.names]

    def torch(self) -> dict[str, torch.Tensor]:
        """The model as torch tensors, for ``load_state_dict``. Writing to them harms nobody."""
        return self._layout.torch_views(self._model.copy_on_write)


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
        super().__init__(f"model {plan.model}", model)
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
    def version(self) -> Hashable:
        """What no other model has that a round starts from."""
        return self._plan.job, self._plan.run, self._plan.model

    @property
    def run(self) -> str:
        """The submission of the job that opened the round."""
        return self._plan.run

    def named(self, tensors: Tensors | Sequence[Any]) -> Tensors:
        """A list of tensors in the order of ``names``, by name."""
        if isinstance(tensors, Mapping):
            return tensors
        if not isinstance(tensors, Sequence):
            raise TypeError(
                f"round {self.id}: {type(tensors).__name__}; expected tensors by name, or a list"
            )
        if len(tensors) != len(self.names):
            raise ModelMismatch(
                f"round {self.id}: {len(tensors)} tensors, the model has {len(self.names)}: "
                f"{', '.join(self.names[:10])}"
            )
        return dict(zip(self.names, tensors, strict=True))

    def check(self, tensors: Tensors | Sequence[Any]) -> None:
        """Raises ModelMismatch if the job would reject these tensors, and says why.

        It looks for tensors that are missing, unknown, reshaped or not finite. It reads all values,
        so it takes about as long as a copy.
        """
        require(f"round {self.id}", problems(self._layout, self.named(tensors)))

    def update(self) -> Update:
        """Begins an update that is written in place: over shared memory, where it is folded.

        An update that was begun before and not sent is given up.
        """
        return Update(self._plan, self._layout, self._sender)

    def send(
        self,
        tensors: Tensors | Sequence[Any] | Update,
        *,
        samples: int,
        metrics: Mapping[str, float] | None = None,
        delta: bool = False,
    ) -> Receipt:
        """Sends an update and waits for its receipt, sending again as long as none comes.

        ``tensors`` are what training has made of the model: arrays or torch tensors by name, a
        list of them in the order of ``names``, or an update of ``update()``, which is sent as it
        is. The job may want the difference from the
        model; it is computed here. With ``delta``, the tensors are differences already.

        ``samples`` is the update's weight, at least 1. ``metrics`` are numbers for people.

        Returns the receipt. If the round goes on without this update, and nothing is wrong with
        it, ``receipt.counts`` is false, and ``receipt.reason`` says why: it was LATE, for example.
        Raises Rejected if the update is wrong, ModelMismatch if it does not even fit, Unreachable
        if the broker stays away.
        """
        if isinstance(tensors, Update):
            update = tensors
        else:
            update = self.update()
            update.fill(
                self.named(tensors),
                self.tensors if delta != (self.kind == "DELTA") else None,
                delta,
            )
        return update.send(samples=samples, metrics=metrics)


class Update(Mapping[str, "Array"]):
    """An update that is written in place: writable arrays by name.

    What is in them at first is left over from something else, so all must be written. After
    ``send`` they are read-only: their memory is used again.
    """

    def __init__(self, plan: Plan, layout: Layout, sender: Sender) -> None:
        self._plan = plan
        self._layout = layout
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
        return name in set(self._layout.names)

    def __getitem__(self, name: str) -> Array:
        self._check_mine()
        array = self._arrays()[name]
        self._untouched.discard(name)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout.names)

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
        names = set(self._layout.names)
        unknown = [f"the model has no tensor '{n}'" for n in tensors if n not in names]
        missing = [f"tensor '{t.name}' is missing" for t in known if t.name not in tensors]
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
        if isinstance(samples, bool) or int(samples) != samples or samples < 1:
            raise ValueError(f"samples is {samples!r}, expected an integer of 1 or more")
        for name, value in (metrics or {}).items():
            if isinstance(value, str) or not hasattr(value, "__float__"):
                raise TypeError(f"metric {name!r} is {value!r}, expected a number")
        self.written()
        for view in (self._views or {}).values():
            view.flags.writeable = False
        return self._sender.send(self, int(samples), metrics or {})
