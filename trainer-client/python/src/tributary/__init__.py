# SPDX-License-Identifier: Apache-2.0
"""Take part in a Tributary federated-learning job.

>>> import tributary
>>> with tributary.connect("mqtt://host:1883", job="digits", id="hospital-7", group="eu") as client:
...     for round in client.rounds():
...         model.load_state_dict(round.torch())
...         samples, loss = train(model)
...         receipt = round.send(model.state_dict(), samples=samples, metrics={"loss": loss})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client import Client
from .connecting import connect
from .errors import (
    Interrupted,
    JobEnded,
    Malformed,
    ModelMismatch,
    NoAnswer,
    Rejected,
    TributaryError,
    Unreachable,
    Unsupported,
)
from .evaluator import Evaluator, evaluate
from .follower import Follower, follow
from .messages import (
    DeadLetter,
    Evaluation,
    Expected,
    MetricSummary,
    Model,
    Plan,
    Receipt,
    RoundId,
    Status,
)
from .model_file import save_model
from .round import GlobalModel, Round, TensorSet, Update

if TYPE_CHECKING:
    from .simulation import SimulatedRound, Simulation, simulate

__version__ = "0.1.0"

__all__ = [
    "Client",
    "DeadLetter",
    "Evaluation",
    "Evaluator",
    "Expected",
    "Follower",
    "GlobalModel",
    "Interrupted",
    "JobEnded",
    "Malformed",
    "MetricSummary",
    "Model",
    "ModelMismatch",
    "NoAnswer",
    "Plan",
    "Receipt",
    "Rejected",
    "Round",
    "RoundId",
    "SimulatedRound",
    "Simulation",
    "Status",
    "TensorSet",
    "TributaryError",
    "Unreachable",
    "Unsupported",
    "Update",
    "connect",
    "evaluate",
    "follow",
    "save_model",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """What only a simulation needs is imported when it is used, so that trainers start sooner."""
    if name in ("SimulatedRound", "Simulation", "simulate"):
        from . import simulation

        return getattr(simulation, name)
    raise AttributeError(f"module 'tributary' has no attribute '{name}'")
