# SPDX-License-Identifier: Apache-2.0
"""Personal tensors: those of a model that never leave the trainer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import Malformed
from .tensors import Array, Layout, Tensors, copy_into

if TYPE_CHECKING:
    import torch


class OwnTensors:
    """What a trainer has made of the tensors that it does not send. Not thread-safe.

    Kept in memory and, if a file is given, there too, so that they survive the trainer's process.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._layout: Layout | None = None
        self._buffer = bytearray()
        if file is not None and file.exists():
            self._buffer = bytearray(file.read_bytes())
            try:
                self._layout = Layout.parse(self._buffer, str(file))
            except Malformed as e:
                raise Malformed(f"{e}; remove the file to begin with the job's model") from None

    def _fitting(self, model: Layout, personal: Callable[[str], bool]) -> set[str]:
        """Names of tensors that are there, personal by the plan, and as the model has them."""
        wanted = {t.name: (t.dtype, t.shape) for t in model.tensors if personal(t.name)}
        mine = self._layout.tensors if self._layout is not None else ()
        return {t.name for t in mine if wanted.get(t.name) == (t.dtype, t.shape)}

    def views(self, model: Layout, personal: Callable[[str], bool]) -> dict[str, Array]:
        """Read-only arrays by the names that the tensors have in the model's file.

        What is not personal any more, or has another shape in this model, is left out.
        """
        if self._layout is None:
            return {}
        fitting = self._fitting(model, personal)
        views = {n: v for n, v in self._layout.views(self._buffer).items() if n in fitting}
        for view in views.values():
            view.flags.writeable = False
        return views

    def torch_views(
        self, model: Layout, personal: Callable[[str], bool]
    ) -> dict[str, torch.Tensor]:
        """The same as torch tensors of their own."""
        if self._layout is None:
            return {}
        fitting = self._fitting(model, personal)
        views = self._layout.torch_views(bytearray(self._buffer))
        return {n: v for n, v in views.items() if n in fitting}

    def prepare(
        self, model: Layout, personal: Callable[[str], bool], tensors: Tensors
    ) -> Callable[[], None]:
        """Copies some tensors of a model, beside those that were kept before and still fit.

        What it returns keeps them. Raises ModelMismatch for another shape.
        """
        values = {**self.views(model, personal), **tensors}
        layout = model.only(set(values))
        buffer = bytearray(layout.length)
        buffer[: len(layout.header)] = layout.header
        for name, view in layout.views(buffer).items():
            copy_into(view, name, values[name])
        return lambda: self._keep(layout, buffer)

    def _keep(self, layout: Layout, buffer: bytearray) -> None:
        self._layout, self._buffer = layout, buffer
        if self._file is not None:
            part = self._file.with_suffix(".part")
            part.write_bytes(buffer)
            os.replace(part, self._file)
