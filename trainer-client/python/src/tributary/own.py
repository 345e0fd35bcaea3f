# SPDX-License-Identifier: Apache-2.0
"""Personal tensors: those of a model that never leave the trainer."""

from __future__ import annotations

import os
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

    def views(self) -> dict[str, Array]:
        """Read-only arrays by the names that the tensors have in the model's file."""
        views = self._layout.views(self._buffer) if self._layout is not None else {}
        for view in views.values():
            view.flags.writeable = False
        return views

    def torch_views(self) -> dict[str, torch.Tensor]:
        """The same as torch tensors of their own."""
        return self._layout.torch_views(bytearray(self._buffer)) if self._layout is not None else {}

    def keep(self, model: Layout, tensors: Tensors) -> None:
        """Keeps some tensors of a model, beside those that were kept before."""
        before = self._layout.views(self._buffer) if self._layout is not None else {}
        values = {**before, **tensors}
        layout = model.only(set(values))
        buffer = bytearray(layout.length)
        buffer[: len(layout.header)] = layout.header
        for name, view in layout.views(buffer).items():
            copy_into(view, name, values[name])
        self._layout, self._buffer = layout, buffer
        if self._file is not None:
            part = self._file.with_suffix(".part")
            part.write_bytes(buffer)
            os.replace(part, self._file)
