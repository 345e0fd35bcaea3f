# SPDX-License-Identifier: Apache-2.0
"""What a fork must not keep: a child would hold its parent's connections beyond its death."""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from typing import Any, Protocol


class HasSocket(Protocol):
    """Something with a connection of this process's."""

    def connected_socket(self) -> Any:
        """The socket, or None."""


_live: weakref.WeakSet[Any] = weakref.WeakSet()


def forget_in_children(one: HasSocket) -> None:
    """Closes its socket in each child that is forked from now on."""
    _live.add(one)


def _after_fork() -> None:
    for one in list(_live):
        with contextlib.suppress(OSError, AttributeError, ValueError):
            found = one.connected_socket()
            if isinstance(found, socket.socket):
                os.close(found.detach())
    _live.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
