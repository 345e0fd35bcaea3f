# SPDX-License-Identifier: Apache-2.0
"""The update that is not answered yet, on disk: it survives the death of its trainer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import Malformed
from .messages import Kind, RoundId, encode


@dataclass(frozen=True)
class Pending:
    """An update that was sent, or was just going to be."""

    run: str
    id: RoundId
    kind: Kind
    samples: int
    metrics: Mapping[str, float]
    payload: bytes


class PendingUpdate:
    """One trainer's place for it. It is there as a whole or not at all. Not thread-safe.

    It survives the end of the process, not that of the machine: nothing is forced to the disk.
    """

    def __init__(self, directory: Path, job: str, trainer: str) -> None:
        self._file = directory / job / f"{trainer}.update"
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keep(self, pending: Pending) -> None:
        """Keeps an update until ``clear``."""
        head = encode(
            {
                "run": pending.run,
                "round": pending.id.round,
                "epoch": pending.id.epoch,
                "kind": pending.kind,
                "samples": pending.samples,
                "metrics": dict(pending.metrics),
                "bytes": len(pending.payload),
            }
        )
        part = self._file.with_suffix(".part")
        with open(part, "wb") as out:
            out.write(len(head).to_bytes(8, "little"))
            out.write(head)
            out.write(pending.payload)
        os.replace(part, self._file)

    def load(self) -> Pending | None:
        """What was kept, if anything. What cannot be read is put aside, and an error says so."""
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            size = int.from_bytes(data[:8], "little")
            head = json.loads(data[8 : 8 + size])
            payload = data[8 + size :]
            if len(payload) != head["bytes"]:
                raise ValueError(f"{len(payload)} bytes, expected {head['bytes']}")
            return Pending(
                str(head["run"]),
                RoundId(int(head["round"]), int(head["epoch"])),
                "DELTA" if head["kind"] == "DELTA" else "WEIGHTS",
                int(head["samples"]),
                head["metrics"],
                payload,
            )
        except (ValueError, KeyError, TypeError) as e:
            raise Malformed(
                f"{self._file}: expected an update that was kept, {e}; remove the file to go on"
            ) from None

    def clear(self) -> None:
        """Forgets it: it has been answered."""
        self._file.unlink(missing_ok=True)
