# SPDX-License-Identifier: Apache-2.0
"""Payloads in chunks: an update is cut, a model is put together."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crc32c import crc32c

from .errors import Malformed
from .messages import VERSION, Fields, RoundId, require_understood

MAX_CHUNK_BYTES = 1 << 20
MIN_CHUNK_BYTES = 1 << 10


def cut(
    payload: memoryview, chunk_bytes: int, properties: Mapping[str, str]
) -> Iterator[tuple[memoryview, dict[str, str]]]:
    """All chunks of a payload, each with what stands beside it."""
    whole = f"{crc32c(payload):08x}"
    count = -(-len(payload) // chunk_bytes)
    for index in range(count):
        chunk = payload[index * chunk_bytes : (index + 1) * chunk_bytes]
        yield (
            chunk,
            {
                "version": str(VERSION),
                **properties,
                "chunk": str(index),
                "chunks": str(count),
                "chunk-bytes": str(chunk_bytes),
                "length": str(len(payload)),
                "crc32c": whole,
                "chunk-crc32c": f"{crc32c(chunk):08x}",
            },
        )


@dataclass(frozen=True)
class ModelChunk:
    """What stands beside a chunk of a model."""

    run: str
    id: RoundId
    chunk: int
    chunks: int
    chunk_bytes: int
    length: int
    crc32c: int
    chunk_crc32c: int

    @classmethod
    def read(cls, properties: Mapping[str, str]) -> ModelChunk:
        """Reads the properties; raises Malformed where they contradict each other."""
        what = "chunk of a model"
        require_understood(what, properties.get("must"))
        read = Fields(what, properties)
        part = cls(
            run=read.text("run"),
            id=read.round_id(),
            chunk=read.integer("chunk"),
            chunks=read.integer("chunks", 1),
            chunk_bytes=read.integer("chunk-bytes", 1, MAX_CHUNK_BYTES),
            length=read.integer("length", 1),
            crc32c=read.crc("crc32c"),
            chunk_crc32c=read.crc("chunk-crc32c"),
        )
        if part.chunks != -(-part.length // part.chunk_bytes) or part.chunk >= part.chunks:
            raise Malformed(
                f"{what}: chunk {part.chunk} of {part.chunks}, each of {part.chunk_bytes} bytes, "
                f"does not make {part.length} bytes"
            )
        return part

    def same_payload(self, other: ModelChunk) -> bool:
        return (self.chunks, self.chunk_bytes, self.length, self.crc32c) == (
            other.chunks,
            other.chunk_bytes,
            other.length,
            other.crc32c,
        )

    def check(self, payload: bytes) -> None:
        expected = min(self.chunk_bytes, self.length - self.chunk * self.chunk_bytes)
        if len(payload) != expected or crc32c(payload) != self.chunk_crc32c:
            raise Malformed(
                f"chunk {self.chunk} of model {self.id}: {len(payload)} bytes with CRC-32C "
                f"{crc32c(payload):08x}, expected {expected} with {self.chunk_crc32c:08x}"
            )


class ModelFile:
    """A model in memory, mapped twice. The descriptor stays the caller's."""

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        #: Read-only, and shared with whoever else has it.
        self._shared = mmap.mmap(descriptor, offset + length, access=mmap.ACCESS_READ)
        #: What is written to it is this process's alone.
        self._private = mmap.mmap(descriptor, offset + length, access=mmap.ACCESS_COPY)
        self._range = slice(offset, offset + length)

    @property
    def read_only(self) -> memoryview:
        return memoryview(self._shared)[self._range]

    @property
    def copy_on_write(self) -> memoryview:
        return memoryview(self._private)[self._range]


class ModelDownload:
    """One version of a model that is coming in. Not thread-safe."""

    def __init__(self, first: ModelChunk) -> None:
        self.id = first.id
        self._first = first
        self._written: set[int] = set()
        self._file: Any = None

    def replaced_by(self, other: ModelChunk) -> bool:
        """Whether a chunk of another model makes this one worth nothing."""
        if self._first.run != other.run:
            return True
        if self.id == other.id:
            return not self._first.same_payload(other)
        here, there = self.id.reopened, other.id.reopened
        return there > here or (there == here and other.id.round >= self.id.round)

    def write(self, part: ModelChunk, payload: bytes) -> None:
        """Writes a chunk; one of another cut is ignored and comes again."""
        if not part.same_payload(self._first) or part.chunk in self._written:
            return
        part.check(payload)
        if self._file is None:
            self._file = _anonymous_file()
            os.ftruncate(self._file.fileno(), self._first.length)
        os.pwrite(self._file.fileno(), payload, part.chunk * part.chunk_bytes)
        self._written.add(part.chunk)

    @property
    def complete(self) -> bool:
        return len(self._written) == self._first.chunks

    @property
    def progress(self) -> tuple[int, int]:
        """Chunks that are there, and all."""
        return len(self._written), self._first.chunks

    def open(self) -> ModelFile:
        return ModelFile(self._file.fileno(), 0, self._first.length)


def _anonymous_file() -> Any:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("tributary-model", os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile()
