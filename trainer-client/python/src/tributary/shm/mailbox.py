# SPDX-License-Identifier: Apache-2.0
"""The connection to the node agent, which says when to look. Without an agent it is silent."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import socket
import struct
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from ..forks import forget_in_children

log = logging.getLogger("tributary")

BYTES = 64
MAGIC = b"TRIB"
VERSION = 1
HELLO, WELCOME, REJECTED, READ = 1, 2, 3, 4
UPDATE, CONTROL = 16, 17
DEFAULT_PORT = 10105

_FRAME = struct.Struct("<4sBBHQQQQqQQ")
_REJECTIONS = {
    1: "bytes that are not descriptors",
    2: "another living endpoint has this id",
    3: "no token that is good",
    4: "nothing was said before",
}
_REPORT_EVERY = 64
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

NOBODY = uuid.UUID(int=0)


def endpoint(name: str) -> uuid.UUID:
    """The id of an endpoint: the name-based UUID (version 3) of its name without a namespace."""
    return uuid.UUID(bytes=hashlib.md5(name.encode(), usedforsecurity=False).digest(), version=3)


def frame(
    kind: int,
    to: uuid.UUID = NOBODY,
    sender: uuid.UUID = NOBODY,
    number: int = 0,
    region: uuid.UUID = NOBODY,
    code: int = 0,
) -> bytes:
    """A descriptor of 64 bytes."""
    halves = [half for u in (to, sender) for half in (u.int >> 64, u.int & (1 << 64) - 1)]
    return _FRAME.pack(
        MAGIC, VERSION, kind, code, *halves, number, region.int >> 64, region.int & (1 << 64) - 1
    )


class Mailbox:
    """One endpoint's connection to the agent. It connects by itself, again and again."""

    def __init__(
        self, directory: Path, port: int, own: uuid.UUID, ring: Callable[[], None]
    ) -> None:
        self._door = directory / ".agent" / f"{port}.sock"
        self._port = port
        self._own = own
        self._ring = ring
        self._socket: socket.socket | None = None
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self._warned = False
        forget_in_children(self)
        self._reader = threading.Thread(target=self._keep, name="tributary-mailbox", daemon=True)
        self._reader.start()

    def connected_socket(self) -> socket.socket | None:
        """The connection, if there is one."""
        return self._socket

    def send(self, kind: int, to: uuid.UUID, region: uuid.UUID = NOBODY) -> None:
        """Rings. It may be lost; whoever it is for looks now and then anyway."""
        self._send(frame(kind, to, region=region))

    def _send(self, data: bytes) -> None:
        with self._sending:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.sendall(data)

    def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while not self._closed.is_set():
            try:
                with self._connect() as connected:
                    self._read(connected)
                pause = _FIRST_PAUSE
            except ConnectionRefusedError as e:
                self._warn(e)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except OSError as e:
                log.debug("no connection to the agent at port %d: %s", self._port, e)
                pause = min(2 * pause, _LONGEST_PAUSE)
            finally:
                with self._sending:
                    self._socket = None
            self._closed.wait(pause)

    def _warn(self, why: OSError) -> None:
        # A door that is there without a listener is what a dead agent leaves.
        if not self._warned:
            self._warned = True
            log.info(
                "no agent at 127.0.0.1:%d (%s); all takes a few seconds longer", self._port, why
            )

    def _connect(self) -> socket.socket:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(5)
            door.connect(str(self._door))
            token = b""
            while len(token) < 16:
                more = door.recv(16 - len(token))
                if not more:
                    raise OSError("too many connections of this user are on their way")
                token += more
        connected = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.settimeout(None)
        # Nothing may be rung before it is said who rings.
        connected.sendall(frame(HELLO, sender=self._own, region=uuid.UUID(bytes=token)))
        with self._sending:
            if self._closed.is_set():
                connected.close()
                raise OSError("closed meanwhile")
            self._socket = connected
        return connected

    def _read(self, connected: socket.socket) -> None:
        rest = b""
        read = reported = 0
        while data := connected.recv(64 * BYTES):
            rest += data
            while len(rest) >= BYTES:
                one, rest = rest[:BYTES], rest[BYTES:]
                _, _, kind, code, *_ = _FRAME.unpack(one)
                if kind == REJECTED:
                    raise OSError(f"rejected: {_REJECTIONS.get(code, code)}")
                read += kind >= UPDATE
                self._ring()
            if read - reported >= _REPORT_EVERY:
                reported = read
                self._send(frame(READ, number=read))

    def close(self) -> None:
        self._closed.set()
        with self._sending:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
