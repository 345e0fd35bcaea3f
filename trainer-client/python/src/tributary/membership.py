# SPDX-License-Identifier: Apache-2.0
"""A trainer's place in its job: it joins, shows that it lives, and leaves."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .connection import Connection, Identity
from .errors import NoAnswer, Rejected, TributaryError
from .inbox import Inbox

log = logging.getLogger("tributary")

T = TypeVar("T")

#: Seconds after which a JOIN that is not answered is said again.
JOIN_AGAIN = 2.0

#: Seconds without an answer to a join, after which that is said once.
_QUIET = 10.0

_LOOK = 0.5
_WATCH = 0.2


class Membership:
    """A trainer's place in its job.

    Its methods belong to one thread, but for ``interrupt`` and ``leave``. Signs of life come from
    a thread of its own.
    """

    def __init__(
        self, who: Identity, connection: Connection, inbox: Inbox, heartbeat: float
    ) -> None:
        self._who = who
        self._connection = connection
        self._inbox = inbox
        self._heartbeat = heartbeat
        self._process = os.getpid()
        self._left = threading.Event()
        self._pulse: threading.Thread | None = None
        self._asked = False

    def join(self, timeout: float | None) -> None:
        """Takes part from now on. Asks again while the job does not answer."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        self.forget_receipts()
        quiet = time.monotonic() + _QUIET
        while not self._ask_to_join(min(JOIN_AGAIN, max(0.0, end - time.monotonic()))):
            if time.monotonic() >= quiet:
                quiet = math.inf
                log.warning(
                    "%s: job '%s' has not answered yet; waiting for %s. Is its name right?",
                    self._who.trainer,
                    self._who.job,
                    self._connection.waits_for,
                )
            if time.monotonic() >= end:
                raise NoAnswer(
                    f"job '{self._who.job}' has not answered within {timeout:g} s: waited for "
                    f"{self._connection.waits_for}; is the job running, and is its name right?"
                )

    def _ask_to_join(self, patience: float) -> bool:
        self._asked = True
        self._connection.control("JOIN")
        answer = self.wait(self._inbox.join_receipt, patience)
        if answer is None:
            return False
        if answer.status != "JOINED":
            raise Rejected(answer.reason, answer.text)
        if self._inbox.joined(answer):
            self._connection.request_model()
        if self._pulse is None:
            self._pulse = threading.Thread(
                target=self._beat, name=f"tributary-{self._who.trainer}", daemon=True
            )
            self._pulse.start()
        return True

    def follow(self, patience: float) -> bool:
        """Becomes known to the job again. False if it has not answered in time; it may be over."""
        self.forget_receipts()
        return self._ask_to_join(patience)

    def _beat(self) -> None:
        """Gives signs of life, one at once after a reconnection: the will was sent."""
        connections = self._connection.connections
        last = time.monotonic()
        while not self._left.wait(_WATCH):
            try:
                self._connection.make_room()
                now = self._connection.connections
                if now != connections or time.monotonic() - last > self._heartbeat:
                    last = time.monotonic()
                    self._connection.control("HEARTBEAT")
                    connections = now
            except Exception as e:  # it is an error of the trainer's next call
                if not self._left.is_set():
                    log.warning("%s: %s", self._who.trainer, e)
                    self._inbox.fail(e)
                return

    def forget_receipts(self) -> None:
        self._connection.forget_receipts()
        self._inbox.forget_receipts()

    def wait(
        self,
        wanted: Callable[[], T | None],
        timeout: float,
        look: float = _LOOK,
        in_vain: Callable[[], bool] = lambda: False,
    ) -> T | None:
        """Waits for something from the job, and looks for it in case nobody says so."""
        end = time.monotonic() + timeout
        found: T | None = None
        while found is None and (rest := end - time.monotonic()) > 0 and not in_vain():
            self.check()
            self._connection.poll()
            found = self._inbox.wait(wanted, min(rest, look))
        return found

    def check(self) -> None:
        if os.getpid() != self._process:
            raise TributaryError(
                f"trainer {self._who.trainer}: this client was made in process {self._process}, "
                f"and this is process {os.getpid()}, a child of it; connect in each process"
            )
        if self._left.is_set():
            raise TributaryError(f"trainer {self._who.trainer}: this client is closed")

    @property
    def left(self) -> bool:
        """Whether it has ended, or this is a child of its process, where it never began."""
        return self._left.is_set() or os.getpid() != self._process

    def leave(self) -> None:
        """Leaves the job."""
        self._left.set()
        self._inbox.wake()
        if self._pulse is not None:
            # A heartbeat that comes after a leave would make the trainer a member again.
            self._pulse.join(_WATCH * 5)
        if self._asked:
            # Also where the job has not answered: it may do so when this trainer is gone.
            self._connection.control("LEAVE")
