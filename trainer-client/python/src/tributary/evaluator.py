# SPDX-License-Identifier: Apache-2.0
"""Evaluates a job's models, in a process of its own.

>>> def accuracy(model):                       # model.tensors, model.torch(), model.number
...     return {"accuracy": measure(model.torch())}
>>> tributary.evaluate(accuracy, "mqtt://host:1883", job="digits", id="judge")

The job shows the metrics and keeps them in its ledgers. It listens to the one whose id is
``rounds.evaluator`` in ``job.yaml`` alone.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import queue
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .closing import Closing
from .errors import ArgumentError, Rejected
from .follower import listen
from .messages import DeadLetter, Evaluation, Opening, Plan, Status, evaluation, kept_metrics
from .round import GlobalModel

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .connection import Credentials

log = logging.getLogger("tributary")

_LOOK = 0.2
_ASK_AGAIN = 5.0
#: As often unanswered, it is worth a warning. A job that is being restored answers late.
_SUSPICIOUS = 4
#: Seconds without a model that a plan names, after which it is asked for once more.
_STARVED = 10.0
#: Seconds without a round of the job, after which that is said once.
_QUIET = 10.0
_MAX_STOP_BYTES = 600

Metrics = Mapping[str, float]
#: Returns metrics, or metrics and why no more rounds are needed.
Function = Callable[[GlobalModel], "Metrics | tuple[Metrics, str]"]


class Evaluator(Closing):
    """What is between a job and the function that evaluates its models. Not thread-safe."""

    def __init__(self, uri: str, *, job: str, id: str, **credentials: Unpack[Credentials]) -> None:
        self._who, self._inbox, self._connection = listen(uri, job, id, "evaluator", credentials)
        self._events = self._inbox.listen()
        self._connection.request_status()
        self._connection.request_dead_letters()
        self._before: Opening | None = None
        self._run = ""

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def run(self, function: Function) -> None:
        """Evaluates the newest model again and again, until the job has ended."""
        asked, chunks, wanted = time.monotonic(), 0, None
        quiet = time.monotonic() + _QUIET
        while not self._ended():
            if not self._run and time.monotonic() > quiet:
                quiet = math.inf
                log.warning("job '%s' has no round yet; waiting for it", self._who.job)
            self._connection.poll()
            task = self._inbox.wait(lambda: self._inbox.evaluable(self._before), _LOOK)
            plan = self._inbox.newest_plan
            names = (plan.run, plan.model) if plan is not None else None
            if names != wanted or self._inbox.chunks != chunks:
                # It is on its way; to ask for it once more would begin again.
                asked, chunks, wanted = time.monotonic(), self._inbox.chunks, names
            starved = time.monotonic() - asked > _STARVED and names != self._before
            if self._inbox.run != self._run or starved:
                self._run = self._inbox.run
                asked = time.monotonic()
                self._connection.request_model()
            if task is None or task.model is None:
                continue
            model = GlobalModel(task.plan.model, task.model.open(), task.plan.config)
            said = self._result(model, function(model))
            why = f"; {said.stop}" if said.stop else ""
            log.info("model %s: %s%s", model.id, dict(said.metrics), why)
            self._say(task.plan, said)
            self._before = (task.plan.run, task.plan.model)

    def _ended(self) -> bool:
        """Whether the run that was evaluated has ended; a broker keeps that of an earlier one."""
        plan = self._inbox.newest_plan
        return plan is not None and plan.ended and plan.run == self._run

    @staticmethod
    def _result(model: GlobalModel, found: Any) -> Evaluation:
        metrics, stop = found if isinstance(found, tuple) and len(found) == 2 else (found, "")
        if not isinstance(metrics, Mapping) or not isinstance(stop, str):
            raise TypeError(
                f"the evaluation of model {model.id} returns {type(found).__name__}; expected "
                "metrics, which are numbers by name, or (metrics, why no more rounds are needed)"
            )
        kept = kept_metrics({str(name): float(value) for name, value in metrics.items()})
        if len(kept) < len(metrics):
            log.warning(
                "model %s: of %s, what is not finite or has no printable name is left out",
                model.id,
                dict(metrics),
            )
        return Evaluation(model.id, kept, stop.encode()[:_MAX_STOP_BYTES].decode(errors="ignore"))

    def _say(self, plan: Plan, said: Evaluation) -> None:
        """Says it until the job shows that it has heard it."""
        who = self._who
        message = evaluation(who.job, who.trainer, who.instance, "evaluator", plan.run, said)
        sent, times = -_ASK_AGAIN, 0
        while not self._superseded(plan, said, times):
            if time.monotonic() - sent > _ASK_AGAIN:
                sent, times = time.monotonic(), times + 1
                if times == _SUSPICIOUS:
                    log.warning(
                        "job '%s' does not show the evaluation of model %s; is '%s' its "
                        "rounds.evaluator, and may this user write and read there?",
                        who.job,
                        said.model,
                        who.trainer,
                    )
                self._connection.evaluate(message)
            try:
                event = self._events.get(timeout=_LOOK)
            except queue.Empty:
                self._inbox.check()
                self._connection.poll()
                continue
            if isinstance(event, Status) and event.evaluation is not None:
                heard = event.evaluation.model
                if heard == said.model or heard.round > said.model.round:
                    return
            if isinstance(event, DeadLetter) and event.id == said.model:
                if event.reason == "UNKNOWN_TRAINER":
                    raise Rejected(event.reason, event.text)
                # The job has gone on meanwhile; it wants another model now.
                log.info("%s", event.text)
                return
        if self._ended():
            log.warning("job '%s' has ended and may not have heard of %s", who.job, said)

    def _superseded(self, plan: Plan, said: Evaluation, times: int) -> bool:
        """Whether there is something newer to do than to say this until it is heard."""
        newest = self._inbox.newest_plan
        if newest is None or newest.run != plan.run:
            return newest is not None and not newest.ended
        return newest.ended or (times > 1 and newest.model != said.model)


def evaluate(
    function: Function, uri: str, *, job: str, id: str, **credentials: Unpack[Credentials]
) -> None:
    """Evaluates a job's models until it has ended.

    If models come faster than they are evaluated, the newest is evaluated next.

    Args:
        function: Called with each model. It returns metrics, numbers by name; or metrics and a
            text, which says why no more rounds are needed: the round that is open is then the
            last.
        uri: How the job is reached, as for ``tributary.connect``, which has the credentials too.
        job: The job's name.
        id: The evaluator's id, which the job has as ``rounds.evaluator``.

    Raises:
        Rejected: The job has another evaluator.
        Unreachable: The broker is away, or rejects this client.
        ValueError: A name or the URI is not of its form.
    """
    with Evaluator(uri, job=job, id=id, **credentials) as evaluator:
        evaluator.run(function)


def load(reference: str) -> Function:
    """A function as ``module:function``, found where Python is started too."""
    module, found, name = reference.partition(":")
    if not found or not module or not name:
        raise ArgumentError(f"'{reference}': expected module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function: Function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as e:
        raise ArgumentError(f"'{reference}' cannot be loaded: {e}") from None
    if not callable(function):
        raise ArgumentError(f"'{reference}' is {type(function).__name__}, expected a function")
    return function
