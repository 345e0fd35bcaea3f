# SPDX-License-Identifier: Apache-2.0
"""A job's directory: who may be trusted with it, and its small files."""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import stat
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Malformed, TributaryError
from ..messages import MAX_JSON_BYTES, encode

_SMALL_BYTES = 1 << 16
_UNMAPPED = 65534
_SHARED = stat.S_ISGID | stat.S_IWGRP


class Place(enum.Enum):
    """Where a directory lies, seen from what somebody has made below it."""

    WITHIN = enum.auto()  # this user's, or a group's that shares what is in it
    ABOVE = enum.auto()  # root's: region directories are below it
    UNKNOWN = enum.auto()  # somebody else's


def place(directory: Path) -> Place:
    try:
        found = os.lstat(directory)
    except FileNotFoundError:
        # What was made in it is gone with it; who has made it may be seen above.
        return Place.WITHIN
    except OSError:
        return Place.UNKNOWN
    others = bool(found.st_mode & stat.S_IWOTH)
    if (found.st_uid == os.getuid() or found.st_mode & stat.S_ISGID) and not others:
        return Place.WITHIN
    known = found.st_uid in (0, os.getuid()) or (found.st_uid == _UNMAPPED and _in_user_namespace())
    return Place.ABOVE if known else Place.UNKNOWN


def _in_user_namespace() -> bool:
    return Path("/proc/self/uid_map").read_text().split()[2] != "4294967295"


def _shared(mode: int) -> bool:
    return mode & (_SHARED | stat.S_IWOTH) == _SHARED


def create(directory: Path) -> None:
    """Makes a directory where there is none. Raises TributaryError if it cannot be trusted."""
    _make_missing(directory)
    require(directory)


def _make_missing(directory: Path) -> None:
    if os.path.lexists(directory):
        return
    _make_missing(directory.parent)
    if not _shared(os.lstat(directory.parent).st_mode):
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        return
    # It gets its name when it has its permissions: another user's process may wait for it.
    unnamed = directory.with_name(f".{uuid.uuid4()}")
    os.mkdir(unnamed, 0o700)
    descriptor = os.open(unnamed, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o2770)
        os.rename(unnamed, directory)
    except OSError:
        os.rmdir(unnamed)
        if not os.path.lexists(directory):
            raise
    finally:
        os.close(descriptor)


def require(directory: Path) -> None:
    """Whoever owns a directory can change all that is in it, so it must be one's own, or shared."""
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise TributaryError(f"{directory}: it is a link or a file, expected a directory")
    if found.st_uid != os.getuid() and not _shared_by_root(directory, found):
        raise TributaryError(
            f"{directory}: it belongs to user {found.st_uid}, expected {os.getuid()}; take one of "
            "your own, or let root share it with a group: ./tributary agent --group GROUP"
        )
    if found.st_mode & stat.S_IWOTH:
        raise TributaryError(f"{directory}: others may write to it; take that permission away")


def _shared_by_root(directory: Path, found: os.stat_result) -> bool:
    if not _shared(found.st_mode):
        return False
    if found.st_uid == 0:
        return True
    above = os.lstat(directory.parent)
    return above.st_gid == found.st_gid and _shared_by_root(directory.parent, above)


def file_mode(file: Path) -> int:
    """Permissions of a file that is made: its user's alone, or the group's too."""
    parent = os.stat(file.parent).st_mode
    if _shared(parent):
        return 0o660
    return 0o640 if parent & stat.S_ISGID else 0o600


def create_file(file: Path) -> int:
    """Makes a file that is not there, open for reading and writing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(file, flags, 0o600)
    os.fchmod(descriptor, file_mode(file))
    return descriptor


def replace(file: Path, message: Mapping[str, Any]) -> None:
    """Replaces a file's contents as a whole; readers see the old or the new."""
    create(file.parent)
    part = file.with_name(f".{file.name}.{uuid.uuid4()}")
    descriptor = create_file(part)
    try:
        os.write(descriptor, encode(message))
        os.rename(part, file)
    except OSError:
        # A full file system is not to be filled with parts.
        remove(part)
        raise
    finally:
        os.close(descriptor)


def open_plain(file: Path) -> int:
    """A descriptor to read a plain file, which is no link; raises OSError for what is none."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "expected a plain file", str(file))
    return descriptor


def read(file: Path, most: int = MAX_JSON_BYTES) -> bytes | None:
    """A plain file's contents; None where it is not there."""
    try:
        descriptor = open_plain(file)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise Malformed(f"{file}: {e.strerror}") from None
    with open(descriptor, "rb") as opened:
        data = opened.read(most + 1)
    if len(data) > most:
        raise Malformed(f"{file}: expected at most {most} bytes")
    return data


def read_small(file: Path) -> bytes | None:
    """The same for what says little."""
    return read(file, _SMALL_BYTES)


def remove(file: Path) -> None:
    """Removes a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
