# SPDX-License-Identifier: Apache-2.0
"""How processes show that they live: a locked file in the directory ``.alive``."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import threading
import uuid
from pathlib import Path
from typing import Any

from .directory import Place, create, file_mode, place

ALIVE = ".alive"

_LOCK = struct.Struct("hhqqi4x")
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def _lock(kind: int) -> bytes:
    return _LOCK.pack(kind, os.SEEK_SET, 0, 1, 0)


class _Self:
    """This process, and the files by which it shows that it lives."""

    def __init__(self) -> None:
        self.process = uuid.uuid4()
        self.held: dict[Path, int] = {}
        self.lock = threading.Lock()


_self = _Self()


def _after_fork() -> None:
    """A child is another process. It must not hold the locks of its parent beyond its death."""
    global _self
    for descriptor in _self.held.values():
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _self = _Self()


os.register_at_fork(after_in_child=_after_fork)


def owner(directory: Path) -> dict[str, Any]:
    """This process, which shows from now on that it lives, to those who look below a directory."""
    with _self.lock:
        file = directory / ALIVE / str(_self.process)
        if file not in _self.held or not file.exists():
            create(file.parent)
            _self.held[file] = _show(file)
    return {"process": str(_self.process), "pid": os.getpid()}


def owner_id() -> uuid.UUID:
    """The number that this process has drawn."""
    return _self.process


def _show(file: Path) -> int:
    """Makes and locks a file under another name, and then gives it its own."""
    unnamed = file.with_name(f".{uuid.uuid4()}")
    descriptor = os.open(unnamed, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, file_mode(file))
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _lock(fcntl.F_WRLCK))
        os.rename(unnamed, file)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def lives(process: str, made: Path) -> bool:
    """Whether the process that has made something lives. Where nobody can tell, it does."""
    try:
        process = str(uuid.UUID(process))
    except ValueError:
        # No process has that name, and it may be a path.
        return False
    for directory in made.absolute().parents:
        where = place(directory)
        if where is not Place.WITHIN:
            return where is Place.UNKNOWN
        if _held(directory / ALIVE / process):
            return True
    return False


def _held(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError as e:
        return e.errno not in (errno.ELOOP, errno.ENXIO)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK))
        return bool(_LOCK.unpack(found)[0] != fcntl.F_UNLCK)
    except OSError:
        return True
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive(file: Path) -> Any:
    """Holds the lock of a file, which is made where there is none; waits for it."""
    descriptor = os.open(file, _OPEN | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_size == 0 and os.fstat(descriptor).st_uid == os.getuid():
            os.fchmod(descriptor, file_mode(file))
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, _lock(fcntl.F_WRLCK))
        yield
    finally:
        os.close(descriptor)
