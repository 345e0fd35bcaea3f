# SPDX-License-Identifier: Apache-2.0
"""A trainer's connection over shared memory. All is in the job's directory."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import messages
from ..connection import Identity, Memory, Sending
from ..errors import Malformed, Rejected, TributaryError
from ..inbox import Inbox
from ..topics import lane
from . import mailbox, process
from .directory import read, read_small, remove, replace
from .mailbox import Mailbox, endpoint
from .region import MAX_DESCRIPTION_BYTES, SUFFIX, ModelRegion, OwnedRegion, UpdateRegions

log = logging.getLogger("tributary")

DEFAULT_DIRECTORY = "/dev/shm/tributary-{uid}"
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class ShmUri:
    """``shm:[/DIRECTORY][?agent-port=PORT]``."""

    directory: Path
    agent_port: int

    @classmethod
    def parse(cls, uri: str) -> ShmUri:
        match = re.fullmatch(r"shm:(/[^?]*)?(?:\?agent-port=([0-9]{1,5}))?", uri)
        port = int(match.group(2) or mailbox.DEFAULT_PORT) if match else 0
        if not match or not 1 <= port <= 65532:
            raise ValueError(
                f"'{uri}': expected shm:[/DIRECTORY][?agent-port=PORT], a port from 1 to 65532"
            )
        directory = (match.group(1) or DEFAULT_DIRECTORY).replace("{uid}", str(os.getuid()))
        return cls(Path(directory), port)


class ShmConnection:
    """A trainer's connection to a job on its own host."""

    durable = True
    connections = 0

    def __init__(self, who: Identity, uri: ShmUri, inbox: Inbox) -> None:
        self._who = who
        self._inbox = inbox
        self._directory = uri.directory / who.job
        self._presence = self._directory / "trainers" / f"{who.trainer}.json"
        self._receipts = self._directory / "receipts" / f"{who.trainer}.json"
        self._regions = UpdateRegions(self._directory, lane(who.trainer), self._quota)
        self._regions_lock = threading.Lock()
        self._lane = endpoint(f"{who.job}/lane/{lane(who.trainer)}")
        self._letters: _Tail | None = None
        self._mailbox = Mailbox(
            uri.directory, uri.agent_port, endpoint(f"{who.job}/trainer/{who.trainer}"), self._rung
        )

    @property
    def waits_for(self) -> str:
        return f"a receipt in {self._receipts}"

    def _rung(self) -> None:
        try:
            self.poll()
        except Exception as e:  # the mailbox's thread has nobody to tell
            self._inbox.fail(e)

    def control(self, kind: str) -> None:
        if kind == "LEAVE":
            self._withdraw()
        else:
            self._appear(asks=kind == "JOIN")
        if kind != "HEARTBEAT":
            self._mailbox.send(mailbox.CONTROL, self._lane)

    def _appear(self, asks: bool) -> None:
        """Writes what this trainer says of itself. A file that is written once more asks again."""
        who = self._who
        there = self._read_presence()
        mine = there is not None and there.get("instance") == who.instance
        if mine and not asks:
            return
        if there is not None and not mine:
            owner = there.get("owner")
            other = owner if isinstance(owner, dict) else {}
            if process.lives(str(other.get("process")), self._presence):
                raise Rejected(
                    "DUPLICATE_TRAINER",
                    f"trainer {who.trainer} takes part already, in process {other.get('pid')}; "
                    "choose another id",
                )
        replace(
            self._presence,
            {
                "trainer": who.trainer,
                "instance": who.instance,
                "group": who.group,
                "owner": process.owner(self._directory),
            },
        )

    def _read_presence(self) -> dict[str, Any] | None:
        data = read_small(self._presence)
        if data is None:
            return None
        try:
            found = json.loads(data)
        except ValueError:
            raise TributaryError(f"{self._presence}: expected JSON; remove the file") from None
        return found if isinstance(found, dict) else {}

    def _withdraw(self) -> None:
        there = self._read_presence()
        if there is not None and there.get("instance") == self._who.instance:
            remove(self._presence)
            remove(self._receipts)

    def _quota(self) -> int:
        """Bound for all files of the job, as it says; half the file system where it has not."""
        data = read_small(self._directory / "job.json")
        try:
            if data is not None:
                return int(json.loads(data)["quotaBytes"])
        except (ValueError, KeyError, TypeError):
            pass
        found = os.statvfs(self._directory)
        return found.f_blocks * found.f_frsize // 2

    def memory(self, length: int) -> OwnedRegion:
        with self._regions_lock:
            return self._regions.take(length, _PATIENCE_SECONDS)

    def publish(self, memory: Memory, sending: Sending) -> None:
        assert isinstance(memory, OwnedRegion)
        memory.answered = False
        if memory.released:
            # Given back without an answer, by a job that did not know this trainer or began again.
            memory.reuse()
        if memory.writing:
            memory.publish(self._description(sending))
        self._mailbox.send(mailbox.UPDATE, self._lane, memory.id)

    def _description(self, sending: Sending) -> bytes:
        message = {
            "job": self._who.job,
            "trainer": self._who.trainer,
            "round": sending.id.round,
            "epoch": sending.id.epoch,
            "attempt": sending.attempt,
            "samples": sending.samples,
            "kind": sending.kind,
        }
        whole = messages.encode({**message, "metrics": dict(sending.metrics)})
        if len(whole) <= MAX_DESCRIPTION_BYTES:
            return whole
        return messages.encode({**message, "metrics": {}})

    def acknowledge(self, memory: Memory) -> None:
        """The job releases the region when nothing can need it any more."""
        assert isinstance(memory, OwnedRegion)
        memory.answered = True

    def make_room(self) -> None:
        # Who waits for room itself has the lock, and tries again by itself.
        if self._regions_lock.acquire(blocking=False):
            try:
                self._regions.make_room()
            except OSError as e:
                # A favour to others must not end this trainer.
                log.warning("it cannot be seen whether others wait for room: %s", e)
            finally:
                self._regions_lock.release()

    def forget_receipts(self) -> None:
        remove(self._receipts)

    def poll(self) -> None:
        """Looks whether the job has said something. A plan that cannot be read keeps no receipt."""
        try:
            data = read(self._directory / "round.json")
            if data is not None:
                plan = messages.decode_plan(data)
                name = f"{plan.run}_{plan.model}{SUFFIX}"
                self._inbox.plan(plan, ModelRegion(plan.model, self._directory / "models" / name))
        except Malformed as e:
            self._inbox.ignored(f"in {self._directory}", e)
        try:
            data = read(self._receipts)
            self._inbox.receipts(messages.decode_receipts(data) if data is not None else [])
        except Malformed as e:
            self._inbox.ignored(f"in {self._receipts}", e)
        if self._letters is not None:
            for line in self._letters.lines():
                try:
                    self._inbox.dead_letter(messages.decode_dead_letter(line))
                except Malformed as e:
                    self._inbox.ignored("in dead-letters.jsonl", e)

    def request_model(self) -> None:
        """The plan says where it is."""

    def request_dead_letters(self) -> None:
        if self._letters is None:
            self._letters = _Tail(self._directory / "dead-letters.jsonl")

    def close(self) -> None:
        try:
            self._withdraw()
        finally:
            self._mailbox.close()
            with self._regions_lock:
                self._regions.close()


class _Tail:
    """The lines that are added to a file from now on. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._at = file.stat().st_size if file.exists() else 0
        self._inode = file.stat().st_ino if file.exists() else 0

    def lines(self) -> list[bytes]:
        with self._lock:
            try:
                with open(self._file, "rb") as opened:
                    inode = os.fstat(opened.fileno()).st_ino
                    if inode != self._inode:
                        # The one before has become long, and has another name now.
                        self._inode, self._at = inode, 0
                    opened.seek(self._at)
                    data = opened.read()
            except FileNotFoundError:
                return []
            whole = data[: data.rfind(b"\n") + 1]
            self._at += len(whole)
            return whole.splitlines()
