# SPDX-License-Identifier: Apache-2.0
"""A bar that shows a trainer's rounds."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from .messages import Receipt


class Progress:
    """A bar of ``tqdm``, or nothing."""

    def __init__(self, trainer: str, shown: bool) -> None:
        self._bar: Any = None
        if shown:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                raise ImportError("progress=True needs tqdm; pip install tqdm") from None
            self._bar = tqdm(desc=trainer, unit=" rounds")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def train(self, number: int) -> None:
        """A round has begun."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"round {number}")

    def done(self, receipt: Receipt | None) -> None:
        """The trainer asks for the next round."""
        if self._bar is not None:
            self._bar.set_postfix_str(receipt.status if receipt else "")
            self._bar.update()
