# SPDX-License-Identifier: Apache-2.0
"""A job for unit tests of trainers: no Flink, no broker, no agent.

>>> def test_my_trainer(tmp_path):
...     with FakeJob(tmp_path) as job:
...         job.open_round({"w": np.zeros(3, np.float32)})
...         job.run(my_trainer, job.uri, job.name)  # or a process of its own
...         update = job.await_update(timeout=10)
...         assert update.samples == 100
...         job.commit(update)
...         job.finish()
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import hashlib
import json
import logging
import mmap
import os
import queue
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .closing import Closing
from .errors import Malformed, ModelMismatch
from .messages import Evaluation, Expected, Kind, RoundId, Scalar, encode
from .model_file import model_bytes
from .shm import process, region
from .shm.directory import create, create_file, read, read_small, remove, replace
from .shm.region import PAYLOAD_OFFSET, READY, RELEASED, Header
from .tensors import Array, Layout, Tensors, problems, require
from .topics import BUCKETS

log = logging.getLogger("tributary")

T = TypeVar("T")

NAME = "fake"
_LOOK_SECONDS = 0.02
_QUOTA_BYTES = 1 << 30
_KEPT_RECEIPTS = 8


@dataclass(frozen=True)
class ReceivedUpdate:
    """An update that a trainer has sent. Its tensors are copies."""

    trainer: str
    id: RoundId
    attempt: int
    samples: int
    metrics: Mapping[str, float]
    kind: Kind
    tensors: Mapping[str, Array]
    file: Path
    generation: int


class FakeJob(Closing):
    """A job that gives trainers the models that a test names, and answers as the test says.

    An update that is not one of the open round's model, or not finite, is rejected at once, as a
    job would, and ``await_update`` does not return it. Thread-safe.
    """

    #: The job's name.
    name = NAME

    def __init__(self, directory: str | os.PathLike[str], kind: Kind = "WEIGHTS") -> None:
        self._root = Path(directory).absolute()
        self._directory = self._root / NAME
        self._kind = kind
        self._secret = secrets.token_hex(32)
        self._run = hashlib.sha256(self._secret.encode()).hexdigest()[:32]
        self._round = 0
        self._model = RoundId(0, 0)
        self._layout: Layout | None = None
        self._state = ""
        self._config: dict[str, Scalar] = {}
        self._expects = Expected()
        self._seen: set[tuple[str, int]] = set()
        self._updates: dict[str, ReceivedUpdate] = {}
        self._rejections = 0
        self._evaluation: dict[str, Any] | None = None
        self._evaluated: queue.SimpleQueue[Evaluation] = queue.SimpleQueue()
        self._received: queue.SimpleQueue[ReceivedUpdate] = queue.SimpleQueue()
        self._running: list[concurrent.futures.Future[Any]] = []
        self._lock = threading.RLock()
        self._closed = threading.Event()
        replace(
            self._directory / "job.json",
            {"quotaBytes": _QUOTA_BYTES, "owner": process.owner(self._directory)},
        )
        self._thread = threading.Thread(target=self._work, name="fake-job", daemon=True)
        self._thread.start()

    @property
    def uri(self) -> str:
        """The way to it, for ``connect``. Without an agent, trainers look by themselves."""
        return f"shm:{self._root}?agent-port=1"

    def close(self) -> None:
        """Ends it; trainers that still wait wait in vain."""
        self._closed.set()
        self._thread.join(5)

    def open_round(
        self,
        model: Tensors,
        config: Mapping[str, Scalar] | None = None,
        *,
        sets: Mapping[str, Tensors] | None = None,
        metrics: Sequence[str] = (),
        partial: bool = False,
        personal: Sequence[str] = (),
        measured: Mapping[str, float] | None = None,
    ) -> RoundId:
        """Opens the next round, in which trainers start from this model, with ``round.config``.

        ``sets`` are tensor sets beside the model, ``metrics`` are those that each update must
        have, ``partial`` is whether it may leave tensors out, ``personal`` are patterns of names of
        tensors that it must not have. ``measured`` is what trainers have found out about the model.
        """
        data = model_bytes(model, sets)
        with self._lock:
            self._close_round()
            self._round += 1
            self._config = dict(config or {})
            self._expects = Expected(list(sets or {}), list(metrics), partial, list(personal))
            self._model = RoundId(self._round - 1, 0)
            self._layout = Layout.parse(data, "model")
            self._publish(data)
            self._tell("OPEN", measured=dict(measured or {}))
            self._show("OPEN")
            return RoundId(self._round, 0)

    def ask(
        self,
        model: Tensors,
        config: Mapping[str, Scalar] | None = None,
        sets: Mapping[str, Tensors] | None = None,
    ) -> RoundId:
        """Asks trainers what this model is worth, before the next round is opened with it.

        ``await_evaluation`` has what they say. ``config`` and ``sets`` are as in ``open_round``.
        Returns the model's version.
        """
        with self._lock:
            self._close_round()
            self._config = dict(config or {})
            self._model = RoundId(self._round, 0)
            self._publish(model_bytes(model, sets))
            everybody = {"from": 0, "buckets": BUCKETS}
            self._tell("EVALUATING", must=["asked"], asked=everybody)
            return self._model

    def _publish(self, data: bytes) -> None:
        name = f"{self._run}_{self._model}{region.SUFFIX}"
        file = self._directory / "models" / name
        create(file.parent)
        header = Header(
            flags=0,
            state=READY,
            generation=1,
            length=len(data),
            crc32c=None,
            owner=process.owner_id(),
            pid=os.getpid(),
            capacity=len(data),
            description=b"{}",
        )
        part = file.with_name(f".{file.name}.part")
        descriptor = create_file(part)
        try:
            os.pwrite(descriptor, header.page().ljust(PAYLOAD_OFFSET, b"\0"), 0)
            os.pwrite(descriptor, data, PAYLOAD_OFFSET)
            os.rename(part, file)
        finally:
            os.close(descriptor)
        self._append(
            "models.jsonl",
            {
                "job": NAME,
                "run": self._run,
                "round": self._model.round,
                "epoch": self._model.epoch,
                "bytes": len(data),
                "chunkBytes": 1 << 20,
                "crc32c": "00000000",
                "lastUpdateToModelMs": 0.0,
                "rejected": "",
            },
        )

    def _append(self, name: str, message: Mapping[str, Any]) -> None:
        file = self._directory / name
        with open(file, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(encode(message) + b"\n")

    def _show(self, state: str) -> None:
        """Says how the round stands, as a job does at each change."""
        updates = len(self._updates)
        weight = sum(u.samples for u in self._updates.values())
        names = {name for u in self._updates.values() for name in u.metrics}
        counts = {"updates": updates, "expected": max(updates, len(self.trainers))}
        status = {
            "job": NAME,
            "round": self._round,
            "epoch": 0,
            "state": state,
            **counts,
            "groups": {"default": counts},
            "rejected": self._rejections,
            "duplicates": 0,
            "metrics": {
                name: sum(u.metrics.get(name, 0.0) * u.samples for u in self._updates.values())
                / weight
                for name in sorted(names)
            },
        }
        if self._evaluation is not None:
            status["evaluation"] = self._evaluation
        self._append("status.jsonl", status)

    def _close_round(self) -> None:
        if self._state == "OPEN":
            self._show("CLOSED")
            self._updates = {}
            self._rejections = 0

    def _tell(self, state: str, **more: Any) -> None:
        self._state = state
        replace(
            self._directory / "round.json",
            {
                "job": NAME,
                "state": state,
                "round": self._round + (state == "EVALUATING"),
                "epoch": 0,
                "modelRound": self._model.round,
                "modelEpoch": self._model.epoch,
                "kind": self._kind,
                "deadlineSeconds": 0.0,
                "restores": 0,
                "run": self._run,
                "end": self._secret if state == "ENDED" else "",
                "config": self._config,
                "expects": vars(self._expects),
                **more,
            },
        )

    def finish(self) -> None:
        """Says that all rounds are done: ``rounds()`` of trainers ends."""
        with self._lock:
            self._close_round()
            self._tell("FINISHED")
            self._show("FINISHED")

    def end(self) -> None:
        """Says that nothing is answered any more, as a job that is cancelled does."""
        with self._lock:
            self._tell("ENDED")

    @property
    def trainers(self) -> list[str]:
        """Ids of the trainers that take part now."""
        return sorted(presence["trainer"] for presence in self._present())

    def run(
        self, trainer: Callable[..., T], *arguments: Any, **named: Any
    ) -> concurrent.futures.Future[T]:
        """Runs the code under test in a thread of its own.

        What it raises, ``await_update`` raises too, and the ``result`` of what is returned here.
        """
        running: concurrent.futures.Future[T] = concurrent.futures.Future()

        def work() -> None:
            try:
                running.set_result(trainer(*arguments, **named))
            except BaseException as e:
                running.set_exception(e)

        self._running.append(running)
        threading.Thread(target=work, name="trainer", daemon=True).start()
        return running

    def await_update(self, timeout: float) -> ReceivedUpdate:
        """Waits for the next update, in the order in which they came."""
        end = time.monotonic() + timeout
        while True:
            try:
                return self._received.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                for running in list(self._running):
                    if running.done() and running.exception() is not None:
                        self._running.remove(running)
                        running.result()
                if time.monotonic() > end:
                    raise TimeoutError(f"no update came within {timeout:g} s") from None

    def await_evaluation(self, timeout: float) -> Evaluation:
        """Waits for the next word of an evaluator, or of a trainer that was asked."""
        try:
            return self._evaluated.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no evaluation came within {timeout:g} s") from None

    def commit(self, update: ReceivedUpdate) -> None:
        """Tells its trainer that an update counts."""
        with self._lock:
            self._updates[update.trainer] = update
            self._show("OPEN")
        self._answer(update, "COMMITTED", "NONE", "")

    def reject(self, update: ReceivedUpdate, reason: str, text: str) -> None:
        """Tells its trainer that an update does not count, and why."""
        with self._lock:
            self._rejections += 1
        self._answer(update, "REJECTED", reason, text)

    def resend(self, update: ReceivedUpdate) -> None:
        """Asks its trainer to send an update once more."""
        self._answer(update, "RESEND", "NONE", "")

    def _answer(self, update: ReceivedUpdate, status: str, reason: str, text: str) -> None:
        release(update.file, update.generation)
        self._tell_trainer(
            update.trainer,
            round=update.id.round,
            epoch=update.id.epoch,
            attempt=update.attempt,
            status=status,
            reason=reason,
            text=text,
        )

    def _tell_trainer(self, trainer: str, **fields: Any) -> None:
        receipt = {
            "job": NAME,
            "run": self._run,
            "trainer": trainer,
            "instance": "",
            "contentId": "",
            "restores": 0,
            "attempt": 0,
            "reason": "NONE",
            "text": "",
            "token": "",
            **fields,
        }
        with self._lock:
            before = self._receipts_of(trainer)
            replace(
                self._directory / "receipts" / f"{trainer}.json",
                {"receipts": [*before, receipt][-_KEPT_RECEIPTS:]},
            )

    def _receipts_of(self, trainer: str) -> list[Any]:
        data = read(self._directory / "receipts" / f"{trainer}.json")
        found: list[Any] = json.loads(data)["receipts"] if data else []
        return found

    def _work(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            try:
                with self._lock:
                    for presence in self._present():
                        self._welcome(presence)
                    for file in sorted((self._directory / "updates").glob(f"*{region.SUFFIX}")):
                        self._look(file)
                    for file in sorted((self._directory / "evaluations").glob("*.json")):
                        self._hear(file)
            except Exception:
                log.exception("the fake job has ended")
                return

    def _present(self) -> list[dict[str, Any]]:
        found = []
        for file in sorted((self._directory / "trainers").glob("*.json")):
            data = read_small(file)
            presence = json.loads(data) if data else {}
            if presence and process.lives(presence["owner"]["process"], file):
                found.append(presence)
            else:
                remove(file)
        return found

    def _welcome(self, presence: Mapping[str, Any]) -> None:
        """Answers a JOIN; a client removes its answers before it joins."""
        trainer, instance = presence["trainer"], presence["instance"]
        if all(receipt["instance"] != instance for receipt in self._receipts_of(trainer)):
            self._tell_trainer(
                trainer,
                instance=instance,
                round=max(1, self._round),
                epoch=0,
                status="JOINED",
                token=uuid.uuid4().hex,
            )

    def _hear(self, file: Path) -> None:
        data = read_small(file)
        if data is None:
            return
        said = json.loads(data)["evaluation"]
        if said["run"] == self._run and said != self._evaluation:
            self._evaluation = said
            self._evaluated.put(
                Evaluation(
                    RoundId(said["round"], said["epoch"]),
                    said["metrics"],
                    said["stop"],
                    said.get("samples", 0),
                )
            )
            self._show(self._state)

    def _look(self, file: Path) -> None:
        try:
            data = file.read_bytes()
            header = Header.parse(data[:PAYLOAD_OFFSET], len(data), str(file))
        except (OSError, Malformed):
            # Its trainer is making it, or removes it.
            return
        if header.state != READY or (file.name, header.generation) in self._seen:
            return
        self._seen.add((file.name, header.generation))
        described = json.loads(header.description)
        payload = bytearray(data[PAYLOAD_OFFSET : PAYLOAD_OFFSET + header.length])
        update = ReceivedUpdate(
            described["trainer"],
            RoundId(described["round"], described["epoch"]),
            described["attempt"],
            described["samples"],
            described["metrics"],
            described["kind"],
            {},
            file,
            header.generation,
        )
        if update.id != RoundId(self._round, 0) or self._state != "OPEN":
            self.reject(update, "LATE", f"it is for round {update.id}, now is {self._round}.0")
            return
        try:
            layout = Layout.parse(payload, f"update of {update.trainer}")
            tensors = layout.views(payload)
            assert self._layout is not None
            types = {t.name: t.dtype for t in self._layout.tensors}
            for tensor in layout.tensors:
                if types.get(tensor.name, tensor.dtype) != tensor.dtype:
                    raise ModelMismatch(
                        f"tensor '{tensor.name}' has elements of {tensor.dtype.torch}, "
                        f"the model has {types[tensor.name].torch}"
                    )
            require(f"update of {update.trainer}", problems(self._expected(layout), tensors))
        except (Malformed, ModelMismatch) as e:
            finite = "expected finite" not in str(e)
            self.reject(update, "WRONG_SHAPE" if finite else "NOT_FINITE", str(e))
            return
        missing = [name for name in self._expects.metrics if name not in update.metrics]
        if missing:
            self.reject(update, "BAD_METRIC", f"metrics {missing} are missing")
            return
        self._received.put(ReceivedUpdate(**{**vars(update), "tensors": tensors}))

    def _expected(self, update: Layout) -> Layout:
        """Which of the model's tensors an update has to have."""
        model = self._layout
        assert model is not None
        there = {t.name for t in update.tensors}

        def personal(name: str) -> bool:
            tensor_set = model.set_of(name)
            return self._expects.is_personal(
                name.removeprefix(f"{tensor_set}/") if tensor_set else name
            )

        return model.only(
            {
                t.name
                for t in model.tensors
                if not personal(t.name) and (t.name in there or not self._expects.partial)
            }
        )


def release(file: Path, generation: int) -> None:
    """Gives a region back to its owner, if it is still in that generation, as a job does."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    with mmap.mmap(descriptor, PAYLOAD_OFFSET) as mapped:
        os.close(descriptor)
        word = ctypes.c_uint64.from_buffer(mapped, 16)
        if word.value == generation << 32 | READY:
            word.value = generation << 32 | RELEASED
        del word
