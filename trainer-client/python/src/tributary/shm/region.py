# SPDX-License-Identifier: Apache-2.0
"""Regions: files with a header of 4096 bytes and a payload, mapped by their owner and the job."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..chunks import ModelFile
from ..errors import Malformed, TributaryError
from ..messages import RoundId
from . import process
from .directory import create, create_file, open_plain, read_small, remove, replace

MAGIC = b"TRIBUTRY"
VERSION = 3
PAYLOAD_OFFSET = 4096
SUFFIX = ".region"

#: The owner takes the region back when it is released.
OWNER_TAKES_BACK = 1
#: The header has the payload's checksum.
HAS_CHECKSUM = 2
#: The writer has looked at all values, and promises that they are finite.
FINITE = 4

WRITING, READY, RELEASED = 1, 2, 3

_HEADER = struct.Struct("<8sIIIIQIIQQqQ")
_WORD_OFFSET = 16
_FLAGS_OFFSET = 12
MAX_DESCRIPTION_BYTES = PAYLOAD_OFFSET - _HEADER.size


@dataclass(frozen=True)
class Header:
    """What a region says of itself. ``crc32c`` is None where it gives no checksum."""

    flags: int
    state: int
    generation: int
    length: int
    crc32c: int | None
    owner: uuid.UUID
    pid: int
    capacity: int
    description: bytes

    def page(self) -> bytes:
        """The first bytes of the file."""
        if len(self.description) > MAX_DESCRIPTION_BYTES:
            raise ValueError(f"a region's description has at most {MAX_DESCRIPTION_BYTES} bytes")
        high, low = self.owner.int >> 64, self.owner.int & (1 << 64) - 1
        return (
            _HEADER.pack(
                MAGIC,
                VERSION,
                self.flags,
                self.state,
                self.generation,
                self.length,
                self.crc32c or 0,
                len(self.description),
                high,
                low,
                self.pid,
                self.capacity,
            )
            + self.description
        )

    @classmethod
    def parse(cls, page: bytes, size: int, what: str) -> Header:
        """Reads the header of a file of ``size`` bytes."""
        if len(page) < PAYLOAD_OFFSET:
            raise Malformed(f"region {what} is damaged: it has {size} bytes")
        magic, version, flags, state, generation, length, crc, described, *rest = (
            _HEADER.unpack_from(page)
        )
        high, low, pid, capacity = rest
        if magic != MAGIC or version != VERSION:
            raise Malformed(
                f"region {what}: expected TRIBUTRY of version {VERSION}, "
                f"found {magic!r} of version {version}"
            )
        fits = length <= capacity <= size - PAYLOAD_OFFSET and described <= MAX_DESCRIPTION_BYTES
        if not (1 <= state <= 3 and generation >= 1 and fits):
            raise Malformed(
                f"region {what} is damaged: state {state}, {length} of {capacity} bytes"
            )
        return cls(
            flags,
            state,
            generation,
            length,
            crc if flags & HAS_CHECKSUM else None,
            uuid.UUID(int=high << 64 | low),
            pid,
            capacity,
            bytes(page[_HEADER.size : _HEADER.size + described]),
        )


@dataclass(frozen=True)
class ModelRegion:
    """A model in a region of the job's. The job removes it; a mapping outlives that."""

    id: RoundId
    file: Path

    def _open(self) -> tuple[int, Header]:
        descriptor = open_plain(self.file)
        try:
            page = os.pread(descriptor, PAYLOAD_OFFSET, 0)
            return descriptor, Header.parse(page, os.fstat(descriptor).st_size, str(self.file))
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def complete(self) -> bool:
        try:
            descriptor, header = self._open()
        except (OSError, Malformed):
            # Not there yet, or not any more; the plan will say which model is.
            return False
        os.close(descriptor)
        return header.state == READY

    def open(self) -> ModelFile:
        try:
            descriptor, header = self._open()
        except (OSError, Malformed) as e:
            raise TributaryError(f"model {self.id} cannot be read: {e}") from None
        try:
            return ModelFile(descriptor, PAYLOAD_OFFSET, header.length)
        finally:
            os.close(descriptor)


class OwnedRegion:
    """A region that this process writes in place, and takes back after each release."""

    def __init__(self, file: Path, length: int, owner: uuid.UUID) -> None:
        self.file = file
        self.id = uuid.UUID(file.name.removesuffix(SUFFIX)[3:])
        self.length = length
        self._owner = owner
        self.generation = 1
        self.answered = False
        self.use = 1
        part = file.with_name(f".{file.name}.part")
        descriptor = create_file(part)
        try:
            # Reserved now, so that writing to it cannot find the file system full.
            os.posix_fallocate(descriptor, 0, PAYLOAD_OFFSET + length)
            os.pwrite(descriptor, self._header(b"{}").page(), 0)
            self._map = mmap.mmap(descriptor, PAYLOAD_OFFSET + length)
            os.rename(part, file)
        except OSError:
            remove(part)
            raise
        finally:
            os.close(descriptor)
        # One aligned store: the job compares and sets state and generation together.
        self._word = ctypes.c_uint64.from_buffer(self._map, _WORD_OFFSET)

    def _header(self, description: bytes) -> Header:
        return Header(
            OWNER_TAKES_BACK,
            WRITING,
            self.generation,
            self.length,
            None,
            self._owner,
            os.getpid(),
            self.length,
            description,
        )

    @property
    def buffer(self) -> memoryview:
        return memoryview(self._map)[PAYLOAD_OFFSET:]

    def _is(self, state: int) -> bool:
        return bool(self._word.value == (self.generation << 32 | state))

    @property
    def writing(self) -> bool:
        """Whether it has not been published in this generation."""
        return self._is(WRITING)

    @property
    def released(self) -> bool:
        """Whether whoever read it has released it."""
        return self._is(RELEASED)

    def publish(self, description: bytes) -> None:
        """Makes it READY."""
        page = self._header(description).page()
        self._map[: len(page)] = page
        with contextlib.suppress(FileNotFoundError):
            # Writing through a mapping does not show in the file's time, by which its age is known.
            os.utime(self.file)
        self._word.value = self.generation << 32 | READY

    def reuse(self) -> None:
        """Begins to write again; what was in it stays."""
        self.generation += 1
        self.answered = False
        page = self._header(b"{}").page()
        self._map[: len(page)] = page

    def delete(self) -> None:
        """Deletes the file. The memory is free when nobody has a view of it any more."""
        self.use += 1
        remove(self.file)

    def abandon(self) -> None:
        """Leaves the file to whoever has still to read it, who then deletes it."""
        flags = ctypes.c_uint32.from_buffer(self._map, _FLAGS_OFFSET)
        flags.value &= ~OWNER_TAKES_BACK
        if self.released or self.writing:
            self.delete()
        self.use += 1


class UpdateRegions:
    """The regions of a trainer's updates. One that is free again is used again. Not thread-safe."""

    def __init__(self, directory: Path, lane: int, quota: Callable[[], int]) -> None:
        self._directory = directory
        self._lane = lane
        self._quota = quota
        self._all: list[OwnedRegion] = []

    def take(self, length: int) -> OwnedRegion | None:
        """A region in WRITING; None where there is no room for it now."""
        if length > self._quota() - PAYLOAD_OFFSET:
            raise self.no_room(length, "the quota has no room for it")
        region = self._find(length)
        if region is not None:
            region.use += 1
        return region

    def wanted(self, request: Path) -> None:
        """Says to the others of the job that room is waited for, unless it is said already."""
        if not request.exists():
            with contextlib.suppress(OSError):
                replace(request, {"owner": process.owner(self._directory)})

    def no_room(self, length: int, why: str) -> TributaryError:
        return TributaryError(
            f"no room for an update of {length} bytes: {why}; {used_bytes(self._directory)} of at "
            f"most {self._quota()} bytes are in use; raise regions.quota, or give the region "
            "directory's file system more"
        )

    def _find(self, length: int) -> OwnedRegion | None:
        for region in list(self._all):
            # One that is still being written was never sent, and is given up.
            if not region.released and not region.writing:
                continue
            if region.length == length:
                region.reuse()
                return region
            # The model has changed its size; nobody will fill this one again.
            self._all.remove(region)
            region.delete()
        return self._make(length)

    def _make(self, length: int) -> OwnedRegion | None:
        directory = self._directory / "updates"
        # Whoever owns it can change what is in it.
        create(self._directory)
        create(directory)
        process.owner(self._directory)
        size = PAYLOAD_OFFSET + length
        with process.exclusive(self._directory / ".lock"):
            free = os.statvfs(self._directory)
            if (
                size > self._quota() - used_bytes(self._directory)
                or size > free.f_bavail * free.f_frsize
            ):
                return None
            file = directory / f"{self._lane:02d}-{uuid.uuid4()}{SUFFIX}"
            try:
                region = OwnedRegion(file, length, process.owner_id())
            except OSError as e:
                if e.errno != errno.ENOSPC:
                    raise
                # Somebody else has filled the file system meanwhile.
                return None
        self._all.append(region)
        return region

    def make_room(self) -> None:
        """Gives up what is kept only because fresh memory is slow, if somebody waits for room."""
        if self._waited_for():
            for region in list(self._all):
                if region.answered and region.released:
                    self._all.remove(region)
                    region.delete()

    def _waited_for(self) -> bool:
        try:
            requests = list((self._directory / "wanted").glob("*.json"))
        except OSError:
            return False
        return any(_waits(request) for request in requests)

    def close(self) -> None:
        """Deletes what is free, and leaves to the job what it has still to read."""
        for region in self._all:
            region.abandon()
        self._all.clear()


def _waits(request: Path) -> bool:
    try:
        found = json.loads(read_small(request) or b"null")
        if found is None:
            return False
        alive = process.lives(str(found["owner"]["process"]), request)
    except (Malformed, ValueError, TypeError, KeyError, RecursionError):
        # It cannot be read, now or ever.
        return False
    if not alive:
        remove(request)
    return alive


def used_bytes(directory: Path) -> int:
    """Bytes of all plain files below a directory."""
    total = 0
    for parent, _, files in os.walk(directory):
        for name in files:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(parent, name))
                total += found.st_size
    return total
