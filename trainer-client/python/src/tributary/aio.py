# SPDX-License-Identifier: Apache-2.0
"""A trainer for programs that use asyncio, notebooks among them.

>>> async with tributary.aio.connect("mqtt://host:1883", job="digits", id="t-1") as client:
...     async for round in client.rounds():
...         tensors = await asyncio.to_thread(train, round.tensors)
...         receipt = await client.send(round, tensors, samples=1200)
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .client import Client
from .connecting import ConnectOptions
from .errors import Interrupted
from .messages import Receipt
from .round import Round, Update
from .tensors import Tensors

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class _Call:
    """A call, and whether it is wanted no more."""

    cancelled = False


class AsyncClient:
    """The same as :class:`tributary.Client`. All that waits happens in one thread of its own.

    A call that is cancelled is interrupted before the cancellation goes on, so the client can be
    used again.
    """

    def __init__(self, make: Callable[[], Client], timeout: float | None) -> None:
        self._make = make
        self._timeout = timeout
        self._client: Client | None = None
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "tributary-aio")
        self._lock = threading.Lock()
        self._running: _Call | None = None

    @property
    def client(self) -> Client:
        """The blocking client. Its methods that wait must not be called."""
        if self._client is None:
            raise RuntimeError("use it as: async with tributary.aio.connect(...) as client")
        return self._client

    async def _run(self, work: Callable[[], T], undo: Callable[[T], None] = lambda _: None) -> T:
        """Runs a call in the thread. If it is cancelled, its result is taken back by ``undo``."""
        mine = _Call()

        def run() -> T:
            with self._lock:
                if mine.cancelled:
                    raise Interrupted("cancelled before it began")
                self._running = mine
            try:
                return work()
            finally:
                with self._lock:
                    self._running = None
                    if self._client is not None:
                        # An interruption that came too late is not for the next call.
                        self._client.resume()

        submitted = self._thread.submit(run)
        waiting = asyncio.wrap_future(submitted)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if not submitted.cancel():
                with self._lock:
                    mine.cancelled = True
                    if self._running is mine and self._client is not None:
                        self._client.interrupt()
                await asyncio.wait([waiting])
                if not waiting.cancelled() and waiting.exception() is None:
                    undo(waiting.result())
            raise

    def _open(self) -> None:
        # Kept here, so that it is closed even if nobody waits for it any more.
        self._client = self._make()

    async def __aenter__(self) -> AsyncClient:
        try:
            await self._run(self._open)
            await self._run(lambda: self.client.join(self._timeout))
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._client is not None:
            # Beside the thread, where a call may wait that nobody wants any more.
            self._client.interrupt()
            closing = asyncio.ensure_future(asyncio.to_thread(self._client.close))
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                await asyncio.wait([closing])
                raise
            finally:
                self._thread.shutdown(wait=False, cancel_futures=True)
        else:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def rounds(self, timeout: float | None = None) -> AsyncIterator[Round]:
        """All rounds from now on, each with its model. Ends when the job is done."""

        def give_back(found: Round | None) -> None:
            if found is not None:
                self.client.give_back(found)

        while (
            found := await self._run(lambda: self.client.next_round(timeout), give_back)
        ) is not None:
            yield found

    async def send(
        self,
        round: Round,
        tensors: Tensors | Sequence[Any] | Update,
        *,
        samples: int,
        metrics: Mapping[str, float] | None = None,
        sets: Mapping[str, Tensors | Sequence[Any]] | None = None,
        delta: bool = False,
    ) -> Receipt:
        """The same as :meth:`tributary.Round.send`, which blocks."""
        return await self._run(
            lambda: round.send(tensors, samples=samples, metrics=metrics, sets=sets, delta=delta)
        )


def connect(
    uri: str, *, timeout: float | None = 120.0, **options: Unpack[ConnectOptions]
) -> AsyncClient:
    """The same as :func:`tributary.connect`, for ``async with``."""
    return AsyncClient(lambda: Client(uri, **options), timeout)
