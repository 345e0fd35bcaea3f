# SPDX-License-Identifier: Apache-2.0
"""How a trainer gets to its job."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .client import Client, Evaluate
from .connection import Credentials

if TYPE_CHECKING:
    from typing_extensions import Required, Unpack


class ConnectOptions(Credentials, total=False):
    """The options of ``connect``."""

    job: Required[str]
    id: Required[str]
    group: str
    state_dir: str | os.PathLike[str] | None
    patience: float
    receipt_timeout: float
    heartbeat: float
    evaluate: Evaluate | None


def connect(
    uri: str, *, timeout: float | None = 120.0, **options: Unpack[ConnectOptions]
) -> Client:
    """Connects a trainer to its job, and joins it.

    Args:
        uri: ``mqtt://HOST:PORT``, ``mqtts://…``, ``ws://HOST:PORT/PATH``, ``wss://…``,
            ``kafka://HOST:PORT[,HOST:PORT…]``, or ``shm:[/DIRECTORY][?agent-port=PORT]`` on the
            job's host.
        timeout: Seconds to wait for the job's answer; None to wait for as long as it takes.
        job: The job's name. Required.
        id: This trainer's id, unique in the job. Required.
        group: The tag by which the job's topology places it, such as ``eu/west``; ``default``
            unless said otherwise.
        user: MQTT user name.
        password: Its password.
        ca_file: PEM file with the certificates to trust, over ``mqtts`` and ``wss``; the system's
            own by default.
        certificate: PEM file with the client's certificate chain.
        key: PEM file with its key.
        kafka: Properties for librdkafka, for SASL and TLS.
        state_dir: Where the update is kept until it is answered, so that the next process of this
            id sends it again as it was. By default it is lost with the process.
        patience: Seconds that a broker may be away before that is an error; 30 by default.
        receipt_timeout: Seconds without a receipt after which an update is sent again, doubled
            each time; 30 by default.
        heartbeat: Seconds between signs of life; 5 by default. The job takes a trainer for lost
            after 30 s of silence.
        evaluate: Called between two rounds if the job asks what a model is worth
            (``rounds.evaluate-every``), with a ``Round`` that has it. It returns the number of
            samples, and metrics by name. Without it, the job goes on without this trainer's word.

    Raises:
        Rejected: The job does not let this trainer join: its id is taken, for example.
        NoAnswer: The job has not answered in time.
        Unreachable: The broker is away, or rejects this client.
        ValueError: A name or the URI is not of its form.
    """
    client = Client(uri, **options)
    try:
        client.join(timeout)
    except BaseException:
        client.close()
        raise
    return client
