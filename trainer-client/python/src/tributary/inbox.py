# SPDX-License-Identifier: Apache-2.0
"""What the job has said to a trainer, for the trainer's thread to wait on. Thread-safe."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from . import messages
from .chunks import ModelChunk, ModelDownload, ModelFile
from .errors import Interrupted, Malformed, TributaryError, Unsupported
from .messages import DeadLetter, Opening, Plan, Receipt, RoundId, Status

log = logging.getLogger("tributary")

T = TypeVar("T")
Event = Plan | Receipt | DeadLetter | Status | messages.Model


class Model(Protocol):
    """A version of the model that is there, or comes."""

    @property
    def id(self) -> RoundId: ...

    @property
    def complete(self) -> bool: ...

    def open(self) -> ModelFile: ...


@dataclass(frozen=True)
class Task:
    """A plan, with its model unless all rounds are done."""

    plan: Plan
    model: Model | None


class Inbox:
    """What the job has said."""

    def __init__(self, trainer: str, instance: str) -> None:
        self._trainer = trainer
        self._instance = instance
        self._changed = threading.Condition()
        self._receipts: list[Receipt] = []
        self._plan: Plan | None = None
        self._stale: Plan | None = None
        self._run = ""
        self._token = ""
        self._joined_in = 0
        self._restores_at_join = 0
        self._download: ModelDownload | None = None
        self._model: Model | None = None
        self._chunks = 0
        self._chunks_before = 0
        self._unsupported = ""
        self._last_ignored = ""
        self._failure: Exception | None = None
        self._interrupted = False
        self._listeners: list[queue.SimpleQueue[Event]] = []

    def plan(self, newest: Plan, model: Model | None = None) -> None:
        """Takes a plan, with its model where that does not come in chunks."""
        if newest.forged:
            log.warning(
                "somebody says that job '%s' has ended, without the proof that only the job can "
                "give; it is not believed",
                newest.job,
            )
            return
        with self._changed:
            if newest != self._plan:
                self._tell(newest)
            if model is not None:
                self._model = model
            self._plan = newest
            self._unsupported = ""
            self._changed.notify_all()

    def receipt(self, receipt: Receipt) -> None:
        """Takes a receipt."""
        if receipt.trainer != self._trainer:
            return
        with self._changed:
            self._receipts.append(receipt)
            self._tell(receipt)
            self._changed.notify_all()

    def receipts(self, all_of_them: list[Receipt]) -> None:
        """Takes all receipts that there are."""
        with self._changed:
            for receipt in all_of_them:
                if receipt not in self._receipts:
                    self._tell(receipt)
            self._receipts = all_of_them
            self._changed.notify_all()

    def dead_letter(self, letter: DeadLetter) -> None:
        """Takes a dead letter, if it is about this trainer."""
        if letter.trainer == self._trainer:
            with self._changed:
                self._tell(letter)

    def news(self, said: Status | messages.Model) -> None:
        """Takes what is said to whoever follows the job."""
        with self._changed:
            self._tell(said)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener.put(event)

    def listen(self) -> queue.SimpleQueue[Event]:
        """A queue of all that comes from now on."""
        listener: queue.SimpleQueue[Event] = queue.SimpleQueue()
        with self._changed:
            self._listeners.append(listener)
        return listener

    def unlisten(self, listener: queue.SimpleQueue[Event]) -> None:
        with self._changed:
            self._listeners.remove(listener)

    def ignored(self, where: str, why: Malformed) -> None:
        """What came could not be used. A trainer that waits in vain is told why."""
        said = f"{where}: {why}"
        with self._changed:
            again, self._last_ignored = said == self._last_ignored, said
        # A file that stays is looked at several times a second.
        log.log(logging.DEBUG if again else logging.WARNING, "ignored %s", said)
        if isinstance(why, Unsupported):
            with self._changed:
                self._unsupported = str(why)

    @property
    def unsupported(self) -> str:
        """Why something that the job said could not be understood; empty where all was."""
        with self._changed:
            return self._unsupported

    def fail(self, why: Exception) -> None:
        """Nothing will come any more."""
        with self._changed:
            self._failure = self._failure or why
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Makes whoever waits now raise Interrupted."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def resume(self) -> None:
        """Takes an interruption back."""
        with self._changed:
            self._interrupted = False

    def wake(self) -> None:
        """Something else has changed that may be waited for."""
        with self._changed:
            self._changed.notify_all()

    def chunk(self, part: ModelChunk, payload: bytes) -> None:
        """Takes a chunk of a model; those of other runs are of no use."""
        with self._changed:
            self._chunks += 1
            if part.run != self._run:
                return
            # A job that has gone back wants a model that is older than what is here.
            ours = self._ours()
            named = ours is not None and ours.model == part.id
            download = self._download
            if download is not None and (
                download.replaced_by(part) or (named and download.id != part.id)
            ):
                download = None
            if download is None:
                download = ModelDownload(part)
            self._download = download
            if download.id == part.id:
                download.write(part, payload)
                self._model = download
            self._changed.notify_all()

    def joined(self, receipt: Receipt) -> bool:
        """A run has taken this trainer in. Returns whether it is another run than before.

        What is known of another run is worth nothing: a broker may keep its plan long after it has
        ended.
        """
        with self._changed:
            other = self._run != receipt.run
            self._run = receipt.run
            self._token = receipt.token
            self._joined_in = receipt.id.round
            self._restores_at_join = receipt.restores
            self._stale = self._plan if self._plan and self._plan.run != self._run else None
            self._plan = self._ours()
            if other:
                self._download = None
                self._model = self._model if self._plan else None
            return other

    def _ours(self) -> Plan | None:
        plan = self._plan
        return plan if plan and plan.run == self._run and not self._over(plan) else None

    def _over(self, plan: Plan) -> bool:
        """Whether a plan is of a round that was over when this trainer joined."""
        return (
            plan.needs_model
            and plan.id.round < self._joined_in
            and plan.restores <= self._restores_at_join
        )

    @property
    def chunks(self) -> int:
        """How many chunks of models have come."""
        with self._changed:
            return self._chunks

    @property
    def run(self) -> str:
        """The run that this trainer belongs to."""
        with self._changed:
            return self._run

    @property
    def token(self) -> str:
        """What this client shows with each chunk."""
        with self._changed:
            return self._token

    @property
    def restores(self) -> int:
        """How often the job has been restored, as far as it has said."""
        with self._changed:
            ours = self._ours()
            return ours.restores if ours else 0

    def _other(self, ended: bool) -> bool:
        with self._changed:
            plan = self._plan
            return (
                plan is not None
                and plan.run != self._run
                and plan.ended == ended
                and plan != self._stale
            )

    @property
    def other_run(self) -> bool:
        """Whether another run of the job has spoken, which may not know this trainer."""
        return self._other(ended=False)

    @property
    def other_run_ended(self) -> bool:
        """Whether another run, which has taken the job over, says that it has ended."""
        return self._other(ended=True)

    @property
    def ended(self) -> bool:
        """Whether the job has said that it answers nobody any more."""
        with self._changed:
            ours = self._ours()
            return ours is not None and ours.ended

    def doubt(self) -> None:
        """Nothing has come for a while: what was taken for an earlier run may be a later one."""
        with self._changed:
            if self._plan is None:
                self._plan = self._stale
            self._stale = None

    def task(self, before: Opening | None, answered: Plan | None = None) -> Task | None:
        """The newest plan, unless it was taken on before, once its model is there completely.

        One that asks what its model is worth is there for those that it asks.
        """
        with self._changed:
            plan = self._ours()
            if plan is None or (plan.open and plan.opening == before):
                return None
            if plan.asked is not None and (plan == answered or not plan.asked.has(self._trainer)):
                return None
            if not plan.needs_model:
                return Task(plan, None)
            model = self._model
            ready = model is not None and model.id == plan.model and model.complete
            return Task(plan, model) if ready else None

    def evaluable(self, before: Opening | None) -> Task | None:
        """The newest model, unless it was evaluated before; of whichever run has spoken last."""
        with self._changed:
            plan, model = self._plan, self._model
            if plan is None or plan.ended or (plan.run, plan.model) == before:
                return None
            if plan.run != self._run:
                # Nobody has joined: what comes in chunks is wanted of this run from now on.
                self._run, self._download = plan.run, None
                if isinstance(model, ModelDownload):
                    self._model = None
                return None
            ready = model is not None and model.id == plan.model and model.complete
            return Task(plan, model) if ready else None

    def starves(self, before: Opening | None) -> bool:
        """Whether a plan names a model that is not there, and nothing of models has come lately."""
        with self._changed:
            quiet = self._chunks == self._chunks_before
            self._chunks_before = self._chunks
            plan = self._ours()
            asked = plan is not None and plan.asked is not None and plan.asked.has(self._trainer)
            open = plan is not None and plan.open and plan.opening != before
            if not quiet or plan is None or not (asked or open):
                return False
            model = self._model
            return model is None or model.id != plan.model or not model.complete

    def join_receipt(self) -> Receipt | None:
        """The answer to this client's JOIN."""
        with self._changed:
            return next((r for r in self._receipts if r.instance == self._instance), None)

    def update_receipt(self, attempts: set[int]) -> Receipt | None:
        """The answer to one of these sendings."""
        with self._changed:
            return next((r for r in self._receipts if r.attempt in attempts), None)

    def forget_receipts(self) -> None:
        """Forgets all receipts, before something is sent that will be answered."""
        with self._changed:
            self._receipts = []

    @property
    def newest_plan(self) -> Plan | None:
        """Of whichever run."""
        with self._changed:
            return self._plan

    def check(self) -> None:
        """Raises what keeps the job from being heard."""
        if self._failure is not None:
            failure = self._failure
            # Each raising gets a traceback of its own.
            if isinstance(failure, TributaryError):
                failure.__context__ = None
                raise failure.with_traceback(None)
            raise TributaryError(f"the job cannot be heard any more: {failure}") from failure

    def check_interrupted(self) -> None:
        """Raises what keeps the trainer's thread from going on, also an interruption."""
        with self._changed:
            self.check()
            if self._interrupted:
                self._interrupted = False
                raise Interrupted("the call was interrupted")

    def wait(self, wanted: Callable[[], T | None], timeout: float) -> T | None:
        """Waits until ``wanted`` has a value, at most that many seconds."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                self.check()
                if self._interrupted:
                    self._interrupted = False
                    raise Interrupted("the wait for the job was interrupted")
                found = wanted()
                rest = end - time.monotonic()
                if found is not None or rest <= 0:
                    return found
                self._changed.wait(rest)
