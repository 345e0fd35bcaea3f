# SPDX-License-Identifier: Apache-2.0
"""Follows a job's rounds without taking part."""

from __future__ import annotations

import logging
import math
import queue
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .closing import Closing
from .connection import Connection, Identity, Options
from .connection import connect as open_connection
from .errors import NoAnswer
from .inbox import Inbox
from .messages import Model, Plan, Status, check_name

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .connection import Credentials

log = logging.getLogger("tributary")

_LOOK = 0.02
#: Seconds without a word of the job, after which that is said once.
_QUIET = 10.0


def listen(
    uri: str, job: str, id: str | None, kind: str, credentials: Credentials
) -> tuple[Identity, Inbox, Connection]:
    """A connection to a job of somebody who is no trainer: a follower, or its evaluator."""
    trainer = check_name("trainer", id or f"{kind}-{uuid.uuid4().hex[:8]}")
    who = Identity(check_name("job", job), trainer, uuid.uuid4().hex, kind)
    inbox = Inbox(trainer, who.instance)
    return who, inbox, open_connection(uri, who, Options.of(**credentials), inbox)


class Follower(Closing):
    """What a job says of its rounds from now on, as an iterator.

    It yields a :class:`Status` at each change of a round and a :class:`Model` for each model, and
    ends when the job has ended. It waits for a job that is not there yet. Not thread-safe.
    """

    def __init__(
        self, uri: str, *, job: str, id: str | None = None, **credentials: Unpack[Credentials]
    ) -> None:
        """Connects. ``tributary.follow`` has the arguments."""
        self._job = job
        _, self._inbox, self._connection = listen(uri, job, id, "follower", credentials)
        self._events = self._inbox.listen()
        self._connection.request_status()
        self._runs: set[str] = set()
        self._quiet_until: float | None = time.monotonic() + _QUIET
        self._closed = False
        # What runs now is known before its end is heard.
        self._connection.poll()

    def __iter__(self) -> Iterator[Status | Model]:
        while (found := self.next()) is not None:
            yield found

    def next(self, timeout: float | None = None) -> Status | Model | None:
        """Waits for what the job says next. None when it has ended.

        Raises NoAnswer if nothing comes within ``timeout`` seconds; by default it waits.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._closed:
            self._say_that_it_waits()
            rest = end - time.monotonic()
            if rest <= 0:
                raise NoAnswer(f"job '{self._job}' has said nothing of its rounds in {timeout:g} s")
            try:
                event = self._events.get(timeout=min(_LOOK, rest))
            except queue.Empty:
                self._inbox.check()
                self._connection.poll()
                continue
            if isinstance(event, Model):
                self._runs.add(event.run)
            if isinstance(event, Status | Model):
                return event
            if isinstance(event, Plan) and self._over(event):
                self._closed = True
        return None

    def _say_that_it_waits(self) -> None:
        if self._quiet_until is not None and time.monotonic() > self._quiet_until:
            self._quiet_until = None
            if not self._runs:
                log.warning("job '%s' says nothing yet; waiting for it", self._job)

    def _over(self, plan: Plan) -> bool:
        """Whether a plan ends what is followed; a broker keeps the last word of an earlier run."""
        if not plan.ended:
            self._runs.add(plan.run)
            return False
        if plan.run not in self._runs:
            log.info("job '%s' has ended before; waiting for its next run", self._job)
            return False
        return True

    def close(self) -> None:
        """Ends the connection. Any thread may call it."""
        self._closed = True
        self._connection.close()


def follow(
    uri: str, *, job: str, id: str | None = None, **credentials: Unpack[Credentials]
) -> Follower:
    """Follows a job's rounds without taking part.

    >>> with tributary.follow("mqtt://host:1883", job="digits") as news:
    ...     for said in news:
    ...         if isinstance(said, tributary.Status) and said.state == "CLOSED":
    ...             print(said.id.round, said.updates, said.metrics)

    Args:
        uri: How the job is reached, as for ``tributary.connect``, which has the credentials too.
        job: The job's name.
        id: A name that the broker's rules let read; drawn by default.

    Raises:
        Unreachable: The broker is away, or rejects this client.
        ValueError: A name or the URI is not of its form.
    """
    return Follower(uri, job=job, id=id, **credentials)
