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
from .messages import Receipt
from .round import Round, Update
from .tensors import Tensors

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


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
        self._running: object = None

    @property
    def client(self) -> Client:
        """The blocking client. Its methods that wait must not be called."""
        if self._client is None:
            raise RuntimeError("use it as: async with tributary.aio.connect(...) as client")
        return self._client

    async def _run(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        mine = object()

        def work() -> T:
            with self._lock:
                self._running = mine
            try:
                return call(*arguments, **named)
            finally:
                with self._lock:
                    self._running = None
                    if self._client is not None:
                        # An interruption that came too late is not for the next call.
                        self._client.resume()

        submitted = self._thread.submit(work)
        waiting = asyncio.wrap_future(submitted)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if not submitted.cancel():
                with self._lock:
                    if self._running is mine and self._client is not None:
                        self._client.interrupt()
                await asyncio.wait([waiting])
                if not waiting.cancelled():
                    waiting.exception()
            raise

    def _open(self) -> None:
        # Kept here, so that it is closed even if nobody waits for it any more.
        self._client = self._make()

    async def __aenter__(self) -> AsyncClient:
        try:
            await self._run(self._open)
            await self._run(self.client.join, self._timeout)
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
            await self._run(self._client.close)
        self._thread.shutdown(wait=False)

    async def rounds(self, timeout: float | None = None) -> AsyncIterator[Round]:
        """All rounds from now on, each with its model. Ends when the job is done."""
        while (found := await self._run(self.client.next_round, timeout)) is not None:
            yield found

    async def send(
        self,
        round: Round,
        tensors: Tensors | Sequence[Any] | Update,
        *,
        samples: int,
        metrics: Mapping[str, float] | None = None,
        delta: bool = False,
    ) -> Receipt:
        """The same as :meth:`tributary.Round.send`, which blocks."""
        return await self._run(round.send, tensors, samples=samples, metrics=metrics, delta=delta)


def connect(
    uri: str, *, timeout: float | None = 120.0, **options: Unpack[ConnectOptions]
) -> AsyncClient:
    """The same as :func:`tributary.connect`, for ``async with``."""
    return AsyncClient(lambda: Client(uri, **options), timeout)
