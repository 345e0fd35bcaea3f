# SPDX-License-Identifier: Apache-2.0
"""A trainer's connection over shared memory. All is in the job's directory."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from .. import messages
from ..connection import Identity, Memory, Sending, shown
from ..errors import ArgumentError, Malformed, Rejected, TributaryError
from ..inbox import Inbox
from ..messages import Model, Plan, Status
from ..topics import lane
from . import mailbox, process
from .directory import create, open_plain, read, read_small, remove, replace
from .mailbox import Mailbox, endpoint
from .region import MAX_DESCRIPTION_BYTES, SUFFIX, ModelRegion, OwnedRegion, UpdateRegions

log = logging.getLogger("tributary")

DEFAULT_DIRECTORY = "/dev/shm/tributary-{uid}"
_PATIENCE_SECONDS = 300.0
_PAUSE_SECONDS = 0.1
_MAX_TAIL_BYTES = 1 << 20


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
            raise ArgumentError(
                f"'{shown(uri)}': expected shm:[/DIRECTORY][?agent-port=PORT], "
                "a port from 1 to 65532"
            )
        directory = (match.group(1) or DEFAULT_DIRECTORY).replace("{uid}", str(os.getuid()))
        return cls(Path(directory), port)


C = TypeVar("C", bound=Callable[..., Any])
D = TypeVar("D")


def _told(call: C) -> C:
    """What the file system says is an error of this package, with the file's name."""

    @functools.wraps(call)
    def told(*arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, **named)
        except OSError as e:
            raise TributaryError(f"shared memory: {e}") from e

    return cast(C, told)


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
        self._evaluation = self._directory / "evaluations" / f"{who.trainer}.json"
        self._evaluates = False
        self._regions = UpdateRegions(self._directory, lane(who.trainer), self._quota)
        self._regions_lock = threading.Lock()
        self._polling = threading.Lock()
        self._closed = threading.Event()
        self._lane = endpoint(f"{who.job}/lane/{lane(who.trainer)}")
        self._plan = _Decoded(self._directory / "round.json", self._with_model)
        self._answers = _Decoded(self._receipts, messages.decode_receipts)
        self._letters: _Tail | None = None
        self._said: list[tuple[_Tail, Callable[[bytes], Status | Model]]] = []
        self._mailbox = Mailbox(
            uri.directory, uri.agent_port, endpoint(f"{who.job}/trainer/{who.trainer}"), self._rung
        )

    @property
    def waits_for(self) -> str:
        if (self._directory / "round.json").exists():
            return f"a receipt in {self._receipts}"
        root, job = self._directory.parent, self._who.job
        others = sorted(str(f.parent.parent) for f in root.glob(f"*/{job}/round.json"))[:3]
        hint = f"; there is one in {', '.join(others)}, as in shm:{others[0]}" if others else ""
        return f"a receipt in {self._receipts}, and no job '{job}' is in {root}{hint}"

    def _with_model(self, data: bytes) -> tuple[Plan, ModelRegion]:
        plan = messages.decode_plan(data)
        name = f"{plan.run}_{plan.model}{SUFFIX}"
        return plan, ModelRegion(plan.model, self._directory / "models" / name)

    def _rung(self) -> None:
        try:
            self.poll()
        except Exception as e:  # the mailbox's thread has nobody to tell
            self._inbox.fail(e)

    @_told
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
        # Whoever owns it can change what is in it.
        create(self._directory)
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
        except (ValueError, RecursionError):
            raise TributaryError(f"{self._presence}: expected JSON; remove the file") from None
        return found if isinstance(found, dict) else {}

    def _withdraw(self) -> None:
        there = self._read_presence()
        if there is not None and there.get("instance") == self._who.instance:
            remove(self._presence)
            remove(self._receipts)

    @_told
    def evaluate(self, message: Mapping[str, Any]) -> bool:
        # A file that is written once more asks once more.
        self._evaluates = True
        replace(self._evaluation, {**message, "version": messages.VERSION})
        self._mailbox.send(mailbox.CONTROL, self._lane)
        return True

    def _quota(self) -> int:
        """Bound for all files of the job, as it says; half the file system where it has not."""
        data = read_small(self._directory / "job.json")
        try:
            if data is not None:
                return int(json.loads(data)["quotaBytes"])
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        found = os.statvfs(self._directory)
        return found.f_blocks * found.f_frsize // 2

    @_told
    def memory(self, length: int) -> OwnedRegion:
        end = time.monotonic() + _PATIENCE_SECONDS
        request = self._directory / "wanted" / f"{uuid.uuid4()}.json"
        try:
            while True:
                with self._regions_lock:
                    region = self._regions.take(length)
                if region is not None:
                    return region
                if time.monotonic() > end:
                    raise self._regions.no_room(
                        length, f"none was free within {_PATIENCE_SECONDS:.0f} s"
                    )
                self._regions.wanted(request)
                # An interruption, or the end of the client, ends this too.
                self._inbox.wait(lambda: self._closed.is_set() or None, _PAUSE_SECONDS)
                if self._closed.is_set():
                    raise TributaryError(f"trainer {self._who.trainer}: this client is closed")
        finally:
            remove(request)

    @_told
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

    @_told
    def forget_receipts(self) -> None:
        remove(self._receipts)

    @_told
    def poll(self) -> None:
        """Looks whether the job has said something. A plan that cannot be read keeps no receipt."""
        # One at a time, or an older plan could come after a newer one.
        with self._polling:
            self._look()

    def _look(self) -> None:
        # Before the plan, which may be the last word.
        for tail, decode in self._said:
            for line in tail.lines():
                try:
                    self._inbox.news(decode(line))
                except Malformed as e:
                    self._inbox.ignored(f"in {tail.file.name}", e)
        try:
            found = self._plan.read()
            if found is not None:
                self._inbox.plan(*found)
        except Malformed as e:
            self._inbox.ignored(f"in {self._directory}", e)
        try:
            self._inbox.receipts(self._answers.read() or [])
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

    def request_status(self) -> None:
        self._said = [
            (_Tail(self._directory / "status.jsonl"), messages.decode_status),
            (_Tail(self._directory / "models.jsonl"), messages.decode_model),
        ]

    @_told
    def close(self) -> None:
        self._closed.set()
        self._inbox.wake()
        try:
            self._withdraw()
            if self._evaluates:
                remove(self._evaluation)
        finally:
            self._mailbox.close()
            with self._regions_lock:
                self._regions.close()


class _Decoded(Generic[D]):
    """What a file says. It is looked at often, and read when it is another than before."""

    def __init__(self, file: Path, decode: Callable[[bytes], D]) -> None:
        self._file = os.fspath(file)
        self._path = file
        self._decode = decode
        self._stamp: tuple[int, int, int] | None = None
        self._value: D | None = None

    def read(self) -> D | None:
        """None where it is not there. Raises Malformed, again and again, for what is none."""
        try:
            found = os.lstat(self._file)
        except FileNotFoundError:
            self._stamp = self._value = None
            return None
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._stamp = None
            data = read(self._path)
            self._value = None if data is None else self._decode(data)
            self._stamp = stamp
        return self._value


class _Tail:
    """The lines that are added to a file from now on. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._at = self._inode = 0
        with contextlib.suppress(OSError):
            found = os.lstat(file)
            self._at, self._inode = found.st_size, found.st_ino

    def lines(self) -> list[bytes]:
        with self._lock:
            try:
                inode = os.lstat(self.file).st_ino
            except OSError:
                return []
            found = []
            if inode != self._inode:
                # The one before has become long, and has another name now.
                if self._inode:
                    found = self._rest(self.file.with_name(self.file.name + ".1"))
                self._inode, self._at = inode, 0
            return found + self._rest(self.file)

    def _rest(self, file: Path) -> list[bytes]:
        """What has come in the file that is read, under the name that it has now."""
        try:
            descriptor = open_plain(file)
        except OSError:
            return []
        with open(descriptor, "rb") as opened:
            if os.fstat(descriptor).st_ino != self._inode:
                return []
            opened.seek(self._at)
            data = opened.read(_MAX_TAIL_BYTES)
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.splitlines()
