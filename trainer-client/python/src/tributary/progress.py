# SPDX-License-Identifier: Apache-2.0
"""A bar that shows a trainer's rounds."""

from __future__ import annotations

from typing import Any

from .closing import Closing
from .messages import Receipt


def open_bar(shown: bool, **options: Any) -> Any:
    """A bar of ``tqdm`` for rounds, or None."""
    if not shown:
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm; pip install tqdm") from None
    return tqdm(unit=" rounds", **options)


class Progress(Closing):
    """A bar of ``tqdm``, or nothing."""

    def __init__(self, trainer: str, shown: bool) -> None:
        self._bar = open_bar(shown, desc=trainer)

    def close(self) -> None:
        """Takes the bar away."""
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
