# SPDX-License-Identifier: Apache-2.0
"""Take part in a Tributary federated-learning job.

>>> import tributary
>>> with tributary.connect("mqtt://host:1883", job="digits", id="hospital-7", group="eu") as client:
...     for round in client.rounds():
...         model.load_state_dict(round.torch())
...         samples, loss = train(model)
...         receipt = round.send(model.state_dict(), samples=samples, metrics={"loss": loss})
"""

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
from .messages import DeadLetter, Plan, Receipt, RoundId
from .model_file import save_model
from .round import Round, Update

__version__ = "0.1.0"

__all__ = [
    "Client",
    "DeadLetter",
    "Interrupted",
    "JobEnded",
    "Malformed",
    "ModelMismatch",
    "NoAnswer",
    "Plan",
    "Receipt",
    "Rejected",
    "Round",
    "RoundId",
    "TributaryError",
    "Unreachable",
    "Unsupported",
    "Update",
    "connect",
    "save_model",
]
