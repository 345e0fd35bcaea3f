# SPDX-License-Identifier: Apache-2.0
"""What can go wrong for a trainer. Each message is one line that says what to do."""

from __future__ import annotations


class TributaryError(Exception):
    """What this package raises about its job, its broker or its updates."""


class Rejected(TributaryError):
    """The job does not accept an update, or does not let this trainer join.

    ``reason`` is one of the reasons of ``docs/protocol.md``, ``text`` is the job's own line.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}" if text else reason)
        self.reason = reason
        self.text = text


class Unreachable(TributaryError):
    """The broker is away, or does not let this client in. The message names it and says why."""


class NoAnswer(TributaryError, TimeoutError):
    """The job has said nothing in time. The message names what was waited for."""


class JobEnded(TributaryError):
    """The job has ended without an answer to an update. Its ledgers say whether it counts."""


class ModelMismatch(TributaryError, ValueError):
    """Tensors do not fit the model: missing, unknown, of another shape or type, or not finite."""


class Malformed(TributaryError, ValueError):
    """A message, a file or a region is not what the protocol says."""


class Unsupported(Malformed):
    """A message must be read with something that this version does not have."""


class Interrupted(TributaryError):
    """A call was interrupted from another thread."""


class ArgumentError(ValueError):
    """An argument of ``connect`` is not of its form. It is no error of the job's."""
