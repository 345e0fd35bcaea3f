# SPDX-License-Identifier: Apache-2.0
"""The layout of a safetensors file, and views of its tensors in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import Malformed, ModelMismatch

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]
Tensors = Mapping[str, Any]

MAX_HEADER_BYTES = 100_000_000

#: Key of a file's metadata with the names in the order of their model, as a JSON array.
ORDER = "tributary.order"

#: Key of a file's metadata with the names of its tensor sets, as a JSON array.
SETS = "tributary.sets"

_SCANNED_ELEMENTS = 1 << 20
_SHOWN_PROBLEMS = 5


@dataclass(frozen=True)
class DType:
    """An element type: size in bytes, name in NumPy (with a dot: in ml_dtypes) and in torch."""

    bytes: int
    numpy: str
    torch: str

    @property
    def foreign(self) -> bool:
        """Whether NumPy has it only by ml_dtypes."""
        return "." in self.numpy

    @property
    def floating(self) -> bool:
        return self.foreign or self.numpy.startswith("float")

    def to_numpy(self, tensor: str) -> np.dtype[Any]:
        if not self.foreign:
            return np.dtype(self.numpy)
        try:
            import ml_dtypes
        except ImportError:
            raise ModelMismatch(
                f"tensor '{tensor}' has elements of {self.torch}, which NumPy alone does not have; "
                "pip install ml_dtypes, or use torch()"
            ) from None
        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, self.numpy.removeprefix("ml_dtypes.")))
        return found


DTYPES = {
    "F64": DType(8, "float64", "float64"),
    "F32": DType(4, "float32", "float32"),
    "F16": DType(2, "float16", "float16"),
    "BF16": DType(2, "ml_dtypes.bfloat16", "bfloat16"),
    "F8_E4M3": DType(1, "ml_dtypes.float8_e4m3fn", "float8_e4m3fn"),
    "F8_E5M2": DType(1, "ml_dtypes.float8_e5m2", "float8_e5m2"),
    "I64": DType(8, "int64", "int64"),
    "U64": DType(8, "uint64", "uint64"),
    "I32": DType(4, "int32", "int32"),
    "U32": DType(4, "uint32", "uint32"),
    "I16": DType(2, "int16", "int16"),
    "U16": DType(2, "uint16", "uint16"),
    "I8": DType(1, "int8", "int8"),
    "U8": DType(1, "uint8", "uint8"),
    "BOOL": DType(1, "bool", "bool"),
}


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies: ``begin`` and ``end`` are bytes from the beginning of the data."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype_name(self) -> str:
        """As the file has it."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)


class Layout:
    """The header of a safetensors file. Immutable."""

    def __init__(
        self, header: bytes, tensors: Sequence[Tensor], metadata: Mapping[str, Any] | None = None
    ) -> None:
        self.header = header
        #: In the order of their data.
        self.tensors = tuple(tensors)
        #: Names of the tensor sets, whose tensors are named ``SET/NAME``.
        self.sets = _sets(metadata or {})
        mine = [t.name for t in tensors if self.set_of(t.name) == ""]
        #: Names of the model's own tensors in its order, as far as the file says so.
        self.names = tuple(_order(metadata or {}, mine))

    def set_of(self, name: str) -> str:
        """The set that a tensor is in; empty for the model's own."""
        return next((s for s in self.sets if name.startswith(f"{s}/")), "")

    def names_in(self, name: str) -> list[str]:
        """Names of a set's tensors, as they stand in the file, in the order of the model."""
        there = {t.name for t in self.tensors}
        return [f"{name}/{n}" for n in self.names if f"{name}/{n}" in there]

    @property
    def all_names(self) -> list[str]:
        """Names of the model's tensors, and then those of the sets."""
        return [*self.names, *(n for s in self.sets for n in self.names_in(s))]

    def only(self, names: Collection[str]) -> Layout:
        """The layout of a file with some of the tensors."""
        names = set(names)
        fields: dict[str, Any] = {}
        tensors, at = [], 0
        for t in self.tensors:
            if t.name in names:
                tensors.append(replace(t, begin=at, end=at + t.end - t.begin))
                at = tensors[-1].end
                fields[t.name] = {
                    "dtype": t.dtype_name,
                    "shape": list(t.shape),
                    "data_offsets": [tensors[-1].begin, at],
                }
        metadata = {ORDER: json.dumps([n for n in self.names if n in names])}
        if self.sets:
            metadata[SETS] = json.dumps(self.sets)
        fields["__metadata__"] = metadata
        text = json.dumps(fields, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        return Layout(len(text).to_bytes(8, "little") + text, tensors, metadata)

    @property
    def data_offset(self) -> int:
        return len(self.header)

    @property
    def length(self) -> int:
        """Bytes of the whole file."""
        return len(self.header) + (self.tensors[-1].end if self.tensors else 0)

    @classmethod
    def parse(cls, file: Any, what: str) -> Layout:
        """Reads and checks the header at the beginning of a buffer that has the whole file."""
        with memoryview(file) as view:
            length = len(view)
            size = int.from_bytes(view[:8], "little")
            if length < 10 or not 2 <= size <= min(MAX_HEADER_BYTES, length - 8):
                raise Malformed(
                    f"{what}: {length} bytes that begin with {bytes(view[:8]).hex()}; "
                    "this is not a safetensors file"
                )
            header = bytes(view[: 8 + size])
        try:
            fields = json.loads(header[8:], object_pairs_hook=_unique)
        except (ValueError, RecursionError) as e:
            raise Malformed(f"{what}: its header is not JSON: {e}") from None
        if not isinstance(fields, dict):
            raise Malformed(f"{what}: its header is not a JSON object")
        tensors = sorted(
            (
                _tensor(what, name, value)
                for name, value in fields.items()
                if name != "__metadata__"
            ),
            key=lambda t: (t.begin, t.end),
        )
        at = 0
        for tensor in tensors:
            if tensor.begin != at:
                raise Malformed(
                    f"{what}: tensor '{tensor.name}' begins at {tensor.begin}, not {at}"
                )
            at = tensor.end
        if at != length - len(header):
            raise Malformed(
                f"{what}: the tensors need {at} bytes, the file has {length - len(header)}"
            )
        metadata = fields.get("__metadata__")
        return cls(header, tensors, metadata if isinstance(metadata, dict) else None)

    def views(self, file: Any) -> dict[str, Array]:
        """Views of all tensors in a buffer with the whole file, by name, in the file's order."""
        return {
            t.name: np.frombuffer(
                file, t.dtype.to_numpy(t.name), t.elements, self.data_offset + t.begin
            ).reshape(t.shape)
            for t in self.tensors
        }

    def torch_views(self, file: Any) -> dict[str, torch.Tensor]:
        """The same as torch tensors that share the buffer's memory, which must be writable."""
        import torch

        views = {}
        for t in self.tensors:
            dtype = getattr(torch, t.dtype.torch)
            views[t.name] = (
                torch.frombuffer(
                    file, dtype=dtype, count=t.elements, offset=self.data_offset + t.begin
                ).reshape(t.shape)
                if t.elements
                else torch.empty(t.shape, dtype=dtype)
            )
        return views


def _order(metadata: Mapping[str, Any], names: list[str]) -> list[str]:
    """The order that a file's metadata give; what is no order of its tensors says nothing."""
    try:
        order: list[str] = json.loads(metadata[ORDER])
        return order if sorted(order) == sorted(names) else names
    except (TypeError, KeyError, ValueError):
        return names


def _sets(metadata: Mapping[str, Any]) -> list[str]:
    """The sets that a file's metadata name; what is no list of names says nothing."""
    try:
        sets = json.loads(metadata[SETS])
        return [str(name) for name in sets] if isinstance(sets, list) else []
    except (TypeError, KeyError, ValueError):
        return []


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _tensor(what: str, name: str, value: Any) -> Tensor:
    def whole(numbers: Any) -> list[int] | None:
        good = isinstance(numbers, list) and all(type(n) is int and n >= 0 for n in numbers)
        return numbers if good else None

    fields = value if isinstance(value, dict) else {}
    dtype = DTYPES.get(str(fields.get("dtype")))
    shape, offsets = whole(fields.get("shape")), whole(fields.get("data_offsets"))
    if dtype is None or shape is None or offsets is None or len(offsets) != 2:
        raise Malformed(f"{what}: tensor '{name}' is {str(value)[:200]}, which cannot be read")
    begin, end = offsets
    if math.prod(shape) * dtype.bytes != end - begin:
        raise Malformed(f"{what}: tensor '{name}' {shape} has {end - begin} bytes")
    return Tensor(name, dtype, tuple(shape), begin, end)


def is_torch(value: object) -> bool:
    """Whether a value is a torch tensor; torch is not imported for that."""
    return any(base.__module__.split(".")[0] == "torch" for base in type(value).__mro__)


def as_numpy(value: Any, exact: bool = False) -> Array:
    """A tensor's values as an array, which may share its memory.

    NumPy alone has no BF16 and no F8. Those come as float32, unless ``exact`` asks for the
    elements of ``ml_dtypes``.
    """
    if is_torch(value):
        value = value.detach().cpu().contiguous()
        name = str(value.dtype).removeprefix("torch.")
        foreign = next((t for t in DTYPES.values() if t.foreign and t.torch == name), None)
        if foreign is not None and exact:
            import torch

            raw = torch.int16 if foreign.bytes == 2 else torch.uint8
            found: Array = value.view(raw).numpy().view(foreign.to_numpy("of torch"))
            return found
        if foreign is not None:
            value = value.float()
        return value.numpy()  # type: ignore[no-any-return]
    return np.asarray(value)


def problems(layout: Layout, tensors: Tensors) -> Iterator[str]:
    """What keeps tensors from being an update of a model, one line each."""
    known = {t.name: t for t in layout.tensors}
    for name in tensors:
        if name not in known:
            yield f"the model has no tensor '{name}'"
    for name, tensor in known.items():
        if name not in tensors:
            yield f"tensor '{name}' is missing"
            continue
        value = tensors[name]
        shape = tuple(int(n) for n in (value.shape if hasattr(value, "shape") else np.shape(value)))
        if shape != tensor.shape:
            yield f"tensor '{name}' has shape {list(shape)}, the model has {list(tensor.shape)}"
        else:
            yield from _unfit(tensor, as_numpy(value))


def _unfit(tensor: Tensor, values: Array) -> Iterator[str]:
    """What is wrong with values of the right shape, as they will be in the update."""
    target = tensor.dtype.to_numpy(tensor.name)
    if not _convertible(values.dtype, target):
        yield f"tensor '{tensor.name}' has elements of {values.dtype}, the model has {target}"
    elif tensor.dtype.floating:
        yield from _not_finite(tensor.name, values, target)
    elif not np.can_cast(values.dtype, target, "safe"):
        flat = values.reshape(-1)
        for begin in range(0, flat.size, _SCANNED_ELEMENTS):
            part = flat[begin : begin + _SCANNED_ELEMENTS]
            bad = np.flatnonzero(part.astype(target) != part)
            if bad.size:
                yield (
                    f"tensor '{tensor.name}' has {part[bad[0]]}, which elements of {target} "
                    "cannot have"
                )
                return


def _convertible(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """Whether numbers of a type may become numbers of another: integers from integers alone."""
    if target.kind in "fV":
        return source.kind in "fViub"
    if target.kind in "iu":
        return source.kind in "iub"
    return source.kind == target.kind


def _not_finite(name: str, values: Array, target: np.dtype[Any]) -> Iterator[str]:
    flat = values.reshape(-1)
    for begin in range(0, flat.size, _SCANNED_ELEMENTS):
        with np.errstate(over="ignore"):
            part = flat[begin : begin + _SCANNED_ELEMENTS].astype(target, copy=False)
        bad = np.flatnonzero(~np.isfinite(part))
        if bad.size:
            index = np.unravel_index(begin + int(bad[0]), values.shape)
            yield (
                f"tensor '{name}' has {part[int(bad[0])]} at {[int(i) for i in index]}, "
                "expected finite values"
            )
            return


def squared_distance(value: Array, base: Array | None) -> float:
    """The square of the norm of what a tensor is away from its base, in float64."""
    flat = value.reshape(-1)
    start = None if base is None else base.reshape(-1)
    total = 0.0
    for begin in range(0, flat.size, _SCANNED_ELEMENTS):
        part = flat[begin : begin + _SCANNED_ELEMENTS].astype(np.float64)
        if start is not None:
            part -= start[begin : begin + _SCANNED_ELEMENTS].astype(np.float64)
        total += float(part @ part)
    return total


def require(what: str, found: Iterator[str]) -> None:
    """Raises ModelMismatch with the first few problems, if there are any."""
    lines = list(found)
    if lines:
        shown = "; ".join(lines[:_SHOWN_PROBLEMS])
        more = len(lines) - _SHOWN_PROBLEMS
        raise ModelMismatch(f"{what}: {shown}" + (f"; and {more} more" if more > 0 else ""))


def copy_into(target: Array, name: str, value: Any) -> None:
    """Writes a tensor's values. Floating-point types are rounded, integers are kept or rejected."""
    source = as_numpy(value)
    if source.shape != target.shape:
        raise ModelMismatch(
            f"tensor '{name}' has shape {list(source.shape)}, the model has {list(target.shape)}"
        )
    if not _convertible(source.dtype, target.dtype):
        raise ModelMismatch(
            f"tensor '{name}' has elements of {source.dtype}, the model has {target.dtype}"
        )
    with np.errstate(over="ignore"):
        # NumPy knows no casting rules between its own types and those of ml_dtypes.
        np.copyto(target, source, casting="unsafe")
    exact = target.dtype.kind in "fV" or np.can_cast(source.dtype, target.dtype, "safe")
    if not exact and not np.array_equal(target, source):
        raise ModelMismatch(
            f"tensor '{name}' has values that elements of {target.dtype} cannot have"
        )


def subtract_into(target: Array, name: str, value: Any, base: Array) -> None:
    """Writes how far a tensor is from its base."""
    copy_into(target, name, value)
    if target.dtype.kind == "b" or target.dtype.kind == "u":
        raise ModelMismatch(
            f"tensor '{name}' has elements of {target.dtype}, which have no differences; "
            "the job should ask for weights"
        )
    moved = target - base
    if target.dtype.kind == "i" and (((target ^ base) & (target ^ moved)) < 0).any():
        raise ModelMismatch(f"tensor '{name}' has differences that {target.dtype} cannot hold")
    target[...] = moved


def add_into(target: Array, name: str, value: Any, base: Array) -> None:
    """Writes a base that is moved by a difference."""
    copy_into(target, name, value)
    moved = target + base
    if target.dtype.kind == "i" and (((target ^ moved) & (base ^ moved)) < 0).any():
        raise ModelMismatch(f"tensor '{name}' has sums that {target.dtype} cannot hold")
    if target.dtype.kind == "u" and (moved < base).any():
        raise ModelMismatch(f"tensor '{name}' has sums that {target.dtype} cannot hold")
    target[...] = moved
