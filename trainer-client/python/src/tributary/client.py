# SPDX-License-Identifier: Apache-2.0
"""A trainer's side of a job."""

from __future__ import annotations

import logging
import math
import os
import queue
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from . import connection as transports
from .closing import Closing
from .connection import Connection, Identity, Memory, Options, Sending
from .errors import ArgumentError, JobEnded, NoAnswer, Rejected, TributaryError
from .inbox import Event, Inbox
from .membership import JOIN_AGAIN, Membership
from .messages import (
    MAX_METRICS,
    Evaluation,
    Kind,
    Opening,
    Plan,
    Receipt,
    RoundId,
    check_group,
    check_name,
    evaluation,
    kept_metrics,
    numbers,
)
from .own import OwnTensors
from .pending import Pending, PendingUpdate
from .progress import Progress
from .round import Round, Update, check_samples

log = logging.getLogger("tributary")

_LOOK = 0.5
_LOSS_LOOK = 0.2
_NODE_LOST_PAUSE = 1.0
_LONGEST_RECEIPT_TIMEOUT = 600.0
_ASK_AGAIN = 10.0
_MAX_EPOCH = (1 << 53) - 1

#: Seconds after which the job takes a trainer for lost.
_SILENCE = 30.0

#: Reasons that say that a round goes on without this update, and that nothing is wrong with it.
#: DIFFERENT_BYTES: an earlier process of this trainer has sent another one, which counts.
_OVER = frozenset({"LATE", "NOT_OPEN", "STALE_EPOCH", "DIFFERENT_BYTES"})


#: Says what a round's model is worth: the number of samples, and metrics.
Evaluate = Callable[[Round], tuple[int, Mapping[str, float]]]


class _Outgoing:
    """An update that is being sent, and the names of its sendings so far."""

    def __init__(
        self, memory: Memory, id: RoundId, kind: Kind, samples: int, metrics: Mapping[str, float]
    ) -> None:
        self.memory = memory
        self.id = id
        self._kind = kind
        self._samples = samples
        self._metrics = metrics
        self.attempts: set[int] = set()

    def sending(self) -> Sending:
        """One more."""
        # Drawn, because a clock that is set back would give names that have been used.
        attempt = 1 + secrets.randbelow(_MAX_EPOCH)
        self.attempts.add(attempt)
        return Sending(self.id, self._kind, attempt, self._samples, self._metrics)


class Client(Closing):
    """A trainer that takes part in a job, blocking. Made by :func:`tributary.connect`.

    Its methods belong to one thread, but for ``close`` and ``events``. It shows the job that it
    lives from a thread of its own.
    """

    def __init__(
        self,
        uri: str,
        *,
        job: str,
        id: str,
        group: str = "default",
        user: str = "",
        password: str = "",
        ca_file: str | os.PathLike[str] = "",
        certificate: str | os.PathLike[str] = "",
        key: str | os.PathLike[str] = "",
        kafka: Mapping[str, str] | None = None,
        state_dir: str | os.PathLike[str] | None = None,
        patience: float = 30.0,
        receipt_timeout: float = 30.0,
        heartbeat: float = 5.0,
        evaluate: Evaluate | None = None,
    ) -> None:
        """Connects; ``tributary.connect`` has the arguments, and joins too."""
        who = Identity(
            check_name("job", job), check_name("trainer", id), uuid.uuid4().hex, check_group(group)
        )
        for name, value in (("patience", patience), ("receipt_timeout", receipt_timeout)):
            if not value > 0:
                raise ArgumentError(f"{name} is {value!r}, expected seconds, more than 0")
        if not 0 < heartbeat < _SILENCE:
            raise ArgumentError(
                f"heartbeat is {heartbeat!r}, expected seconds, more than 0 and less than "
                f"{_SILENCE:g}: the job takes a silent trainer for lost"
            )
        options = Options.of(
            patience,
            user=user,
            password=password,
            ca_file=ca_file,
            certificate=certificate,
            key=key,
            kafka=kafka,
        )
        self._who = who
        self._receipt_timeout = receipt_timeout
        self._taken: Opening | None = None
        self._evaluate = evaluate
        self._answered: Plan | None = None
        self._last: Receipt | None = None
        self._posted: _Outgoing | None = None
        self._inbox = Inbox(who.trainer, who.instance)
        self._pending = PendingUpdate(Path(state_dir), job, id) if state_dir else None
        self.own = OwnTensors(Path(state_dir) / job / f"{id}.personal" if state_dir else None)
        self._connection: Connection = transports.connect(uri, who, options, self._inbox)
        self._member = Membership(who, self._connection, self._inbox, heartbeat)

    @property
    def id(self) -> str:
        """This trainer's id."""
        return self._who.trainer

    @property
    def job(self) -> str:
        """The job's name."""
        return self._who.job

    def __repr__(self) -> str:
        return f"Client(job={self.job!r}, id={self.id!r})"

    def rounds(self, timeout: float | None = None, progress: bool = False) -> Iterator[Round]:
        """All rounds from now on, each with its model. Ends when the job is done.

        With ``progress``, a bar of ``tqdm`` shows them. Raises NoAnswer if no round comes within
        ``timeout`` seconds; by default it waits.
        """
        with Progress(self.id, progress) as bar:
            while (found := self.next_round(timeout)) is not None:
                bar.train(found.number)
                yield found
                bar.done(self._last)

    def next_round(self, timeout: float | None = None) -> Round | None:
        """Waits for the next round and for its model. None when all rounds are done."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        self._member.check()
        self._send_pending(end)
        while True:
            self._member.check()
            rest = end - time.monotonic()
            if rest <= 0:
                why = self._inbox.unsupported
                raise NoAnswer(
                    f"job '{self.job}': no new round within {timeout:g} s"
                    + (f"; what it says cannot be read: {why}" if why else "")
                )
            task = self._member.wait(
                lambda: self._inbox.task(self._taken, self._answered),
                min(rest, _ASK_AGAIN),
                in_vain=lambda: self._inbox.other_run or self._posted_answer() is not None,
            )
            self._follow_posted()
            if self._inbox.other_run:
                self._member.follow(min(rest, JOIN_AGAIN))
            elif task is not None and task.model is not None and task.plan.evaluating:
                self._answer(task.plan, Round(task.plan, task.model.open(), self))
            elif task is not None:
                break
            elif self._inbox.starves(self._taken):
                self._connection.request_model()
            else:
                self._inbox.doubt()
        if task.model is None:
            return None
        if self._posted is not None:
            self._connection.acknowledge(self._posted.memory)
            self._posted = None
        opened = Round(task.plan, task.model.open(), self)
        self._taken = task.plan.opening
        return opened

    def _answer(self, plan: Plan, model: Round) -> None:
        """Says what a model is worth, or that this trainer cannot say it: the job waits for it."""
        samples, metrics = 0, dict[str, float]()
        if self._evaluate is not None:
            found = self._evaluate(model)
            if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping)):
                raise TypeError(
                    f"the evaluation of model {plan.model} returns {str(found)[:60]}; expected the "
                    "number of samples, and metrics, which are numbers by name"
                )
            who = f"the evaluation of model {plan.model}"
            metrics = numbers(who, found[1])
            try:
                samples = check_samples(found[0]) if metrics else 0
            except ValueError as e:
                raise ValueError(f"{who}: {e}") from None
        said = Evaluation(plan.model, kept_metrics(metrics), samples=samples)
        left_out = sorted(set(metrics) - set(said.metrics))
        if left_out:
            log.warning(
                "%s: model %s: not said, since it is not finite, or there are more than %d: %s",
                self.id,
                plan.model,
                MAX_METRICS,
                ", ".join(f"{name} = {metrics[name]}" for name in left_out[:5]),
            )
        log.info("%s: model %s: %s", self.id, plan.model, dict(said.metrics) or "not evaluated")
        me = self._who
        message = evaluation(me.job, me.trainer, me.instance, me.group, plan.run, said)
        # It counts once, so it can be said again where it may have been lost.
        while not self._connection.evaluate(message) and self._inbox.newest_plan == plan:
            self._member.check()
        self._answered = plan

    def give_back(self, round: Round) -> None:
        """A round that ``next_round`` has returned, and nobody has got: it comes again."""
        if self._taken == (round.run, round.id):
            self._taken = None

    def memory(self, length: int) -> Memory:
        """Memory for an update."""
        self._member.check()
        return self._connection.memory(length)

    def send(self, update: Update, samples: int, metrics: Mapping[str, float]) -> Receipt:
        """Sends an update of one of this client's rounds, and waits for its receipt."""
        self._member.check()
        payload, plan = update.written(), update.plan
        if self._pending is not None:
            self._pending.keep(
                Pending(
                    plan.run, plan.id, plan.kind, samples, kept_metrics(metrics), bytes(payload)
                )
            )
        receipt = self._sent(_Outgoing(update.memory, plan.id, plan.kind, samples, metrics))
        self._last = receipt
        if self._pending is not None:
            self._pending.clear()
        if receipt.status == "REJECTED":
            if receipt.reason not in _OVER:
                raise Rejected(receipt.reason, receipt.text)
            log.warning("%s: %s", self.id, receipt)
        return receipt

    def post(self, update: Update, samples: int, metrics: Mapping[str, float]) -> None:
        """Sends an update and does not wait for its receipt: the next round says that it counts.

        That is so in a job whose rounds end with all trainers alone, such as a simulation's. What
        is rejected is an error of ``next_round``.
        """
        self._member.check()
        update.written()
        self._member.forget_receipts()
        posted = _Outgoing(update.memory, update.plan.id, update.plan.kind, samples, metrics)
        self._connection.publish(update.memory, posted.sending())
        self._posted = posted

    def _posted_answer(self) -> Receipt | None:
        posted = self._posted
        return self._inbox.update_receipt(posted.attempts) if posted is not None else None

    def _follow_posted(self) -> None:
        """Does what the answer to what was posted asks for. Raises Rejected if it is wrong."""
        posted, answer = self._posted, self._posted_answer()
        if posted is None or answer is None:
            return
        if self._asks_again(answer):
            self._connection.publish(posted.memory, posted.sending())
            return
        self._connection.acknowledge(posted.memory)
        self._posted = None
        if answer.status == "REJECTED" and answer.reason not in _OVER:
            raise Rejected(answer.reason, answer.text)

    def _sent(self, update: _Outgoing, end: float = math.inf) -> Receipt:
        self._member.forget_receipts()
        timeout = self._receipt_timeout
        while True:
            if self._inbox.ended:
                raise self._job_ended(update.id)
            losses = self._losses()
            self._connection.publish(update.memory, update.sending())
            if time.monotonic() > end:
                raise NoAnswer(
                    f"job '{self.job}' has not answered the update for round {update.id} in time; "
                    "it is kept, and is sent again"
                )
            answer = self._member.wait(
                lambda: self._inbox.update_receipt(update.attempts),
                min(timeout, max(0.0, end - time.monotonic())),
                _LOSS_LOOK,
                lambda losses=losses: losses != self._losses() or self._inbox.other_run,  # type: ignore[misc]
            )
            if answer is None:
                timeout = self._unanswered(update.id, timeout, losses)
            elif not self._asks_again(answer):
                self._connection.acknowledge(update.memory)
                return answer

    def _unanswered(self, round_id: RoundId, timeout: float, losses: int) -> float:
        """Finds out why no receipt has come. Returns how long to wait for the next one."""
        if self._inbox.other_run:
            # A run that goes on with the round takes it, when it knows this trainer.
            self._member.follow(JOIN_AGAIN)
            return timeout
        if self._inbox.other_run_ended and not self._member.follow(timeout):
            # Anybody can say so of a run of his own, but then the job answers.
            raise self._job_ended(round_id)
        if losses != self._losses():
            log.info("%s: what was sent for round %s may be lost", self.id, round_id)
            return timeout
        log.info("%s: no receipt for round %s, sending again", self.id, round_id)
        # The job may be busy with the updates of others; more load would not help it.
        return min(2 * timeout, _LONGEST_RECEIPT_TIMEOUT)

    def _asks_again(self, answer: Receipt) -> bool:
        """Whether an answer asks for the update once more. If so, does what has to come before."""
        if answer.reason == "NODE_LOST":
            self._member.forget_receipts()
            # A host that was lost is not back at once.
            self._member.wait(lambda: None, _NODE_LOST_PAUSE, in_vain=lambda: self._inbox.ended)
            return True
        if answer.status == "RESEND":
            self._member.forget_receipts()
            return True
        if answer.reason == "UNKNOWN_TRAINER":
            self._member.follow(JOIN_AGAIN)
            return True
        return False

    def _job_ended(self, round_id: RoundId) -> JobEnded:
        return JobEnded(
            f"job '{self.job}' has ended without an answer to the update for round {round_id}; "
            "its ledgers say whether it counts"
        )

    def _losses(self) -> int:
        """Rises when what was sent may be lost: by a broker that went, or a job that went back."""
        return (
            0 if self._connection.durable else self._connection.connections + self._inbox.restores
        )

    def _send_pending(self, end: float) -> None:
        """Sends once more what a client of this id has left unanswered, as it was.

        Raises NoAnswer at ``end``, a time of the monotonic clock.
        """
        pending = self._pending.load() if self._pending is not None else None
        if pending is None or self._pending is None:
            return
        log.warning(
            "%s: an earlier process has left an update for round %s; it is sent again",
            self.id,
            pending.id,
        )
        memory = self._connection.memory(len(pending.payload))
        memory.buffer[:] = pending.payload
        receipt = self._sent(
            _Outgoing(memory, pending.id, pending.kind, pending.samples, pending.metrics), end
        )
        self._pending.clear()
        log.warning("%s: %s", self.id, receipt)
        if receipt.counts:
            self._taken = (receipt.run, pending.id)

    def events(self) -> Iterator[Event]:
        """What the job says from now on: plans, receipts, and dead letters about this trainer.

        Dead letters come as far as the broker's rules let a trainer read them. It waits for each
        event. Use it in a thread of its own; it ends when the client is closed.
        """
        self._member.check()
        self._connection.request_dead_letters()
        return self._events(self._inbox.listen())

    def _events(self, listener: queue.SimpleQueue[Event]) -> Iterator[Event]:
        try:
            while not self._member.left:
                try:
                    yield listener.get(timeout=_LOOK)
                except queue.Empty:
                    # Over shared memory nobody says that there is a dead letter.
                    if not self._member.left:
                        self._inbox.check()
                        self._connection.poll()
        finally:
            self._inbox.unlisten(listener)

    def join(self, timeout: float | None) -> None:
        """Takes part from now on. ``connect`` does it."""
        self._member.join(timeout)

    def interrupt(self) -> None:
        """Makes the call that waits now, in another thread, raise Interrupted."""
        self._inbox.interrupt()

    def resume(self) -> None:
        """Takes back an interruption that no call has noticed."""
        self._inbox.resume()

    def close(self) -> None:
        """Leaves the job and ends the connection. In a child of its process it does nothing."""
        if self._member.left:
            return
        try:
            self._member.leave()
        except TributaryError as e:
            log.warning("%s: it could not say that it leaves: %s", self.id, e)
        finally:
            self._connection.close()
