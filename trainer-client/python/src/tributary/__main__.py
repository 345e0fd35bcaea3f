# SPDX-License-Identifier: Apache-2.0
"""``python -m tributary``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from . import doctor, evaluator, logs, registry
from .connection import Credentials, Options
from .doctor import add_password
from .errors import ArgumentError, TributaryError
from .follower import follow
from .messages import check_name
from .simulation import command as simulation


def main(arguments: list[str] | None = None) -> int:
    """Runs a command. Returns its exit code: 0 for success, 1 for failure, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m tributary", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    doctor.add_arguments(
        commands.add_parser(
            "doctor", help="say which packages are there, and whether a job can be reached"
        )
    )
    simulation.add_arguments(
        commands.add_parser("simulate", help="let many clients train here, with a real job")
    )
    _add_evaluate(
        commands.add_parser("evaluate", help="evaluate a job's models, for its status and ledgers")
    )
    _add_log(commands.add_parser("log", help="write a job's rounds for TensorBoard or MLflow"))
    _add_register(
        commands.add_parser("register", help="register a job's models in an index or in MLflow")
    )
    given = parser.parse_args(arguments)
    run = {
        "doctor": _doctor,
        "simulate": simulation.run,
        "evaluate": _evaluate,
        "log": _log,
        "register": _register,
    }
    return _run(parser, given, run[given.command])


def _add_job(parser: argparse.ArgumentParser, id_help: str, id_required: bool = False) -> None:
    parser.add_argument("uri", help="how the job is reached, such as mqtt://HOST:1883")
    parser.add_argument("--job", required=True, help="the job's name")
    parser.add_argument("--id", required=id_required, help=id_help)
    parser.add_argument("--user", default="", help="MQTT user name")
    add_password(parser)
    parser.add_argument("--ca-file", default="", help="PEM file with the certificates to trust")
    parser.add_argument("--certificate", default="", help="PEM file of the client, and")
    parser.add_argument("--key", default="", help="its key")
    parser.add_argument(
        "--kafka-property",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a property for librdkafka, for SASL and TLS",
    )


def _credentials(given: argparse.Namespace) -> Credentials:
    pairs = [text.partition("=") for text in given.kafka_property]
    if any(not found for _, found, _ in pairs):
        raise ArgumentError(f"--kafka-property {given.kafka_property}: expected NAME=VALUE")
    return {
        "user": given.user,
        "password": given.password,
        "ca_file": given.ca_file,
        "certificate": given.certificate,
        "key": given.key,
        "kafka": {name: value for name, _, value in pairs},
    }


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "function",
        metavar="module:function",
        help="called with each model; returns metrics, or (metrics, why it is enough)",
    )
    _add_job(parser, "the evaluator's id, which the job has as rounds.evaluator", True)


def _evaluate(given: argparse.Namespace) -> int:
    logging.getLogger("tributary").setLevel(logging.INFO)
    evaluator.evaluate(
        evaluator.load(given.function),
        given.uri,
        job=given.job,
        id=given.id,
        **_credentials(given),
    )
    return 0


def _add_log(parser: argparse.ArgumentParser) -> None:
    _add_job(parser, "a name that the broker's rules let read; drawn by default")
    parser.add_argument("--to", required=True, choices=logs.WRITERS, help="what shows it")
    parser.add_argument(
        "--dir",
        metavar="DIR",
        help="where its files are, or MLflow's tracking URI; by default 'runs' for tensorboard "
        "and 'mlruns' for mlflow",
    )


def _log(given: argparse.Namespace) -> int:
    place = given.dir or ("runs" if given.to == "tensorboard" else "mlruns")
    with follow(given.uri, job=given.job, id=given.id, **_credentials(given)) as news:
        writer = logs.open_writer(given.to, place, given.job)
        print(f"the rounds of '{given.job}' go to {place}", flush=True)
        try:
            logs.write(news, writer)
        finally:
            writer.close()
    return 0


def _add_register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", type=Path, help="the job's model.directory")
    parser.add_argument(
        "--index", type=Path, metavar="DIR", help=f"a directory, for the file {registry.INDEX}"
    )
    parser.add_argument(
        "--mlflow", metavar="PLACE", help="MLflow's tracking URI, or a directory of its file store"
    )
    parser.add_argument(
        "--watch", type=float, metavar="SECONDS", help="look again after so long, until stopped"
    )


def _register(given: argparse.Namespace) -> int:
    makers: list[Callable[[str], registry.Registry]] = []
    if given.index is not None:
        makers.append(lambda job: registry.DirectoryIndex(given.index))
    if given.mlflow is not None:
        makers.append(lambda job: registry.MLflowRegistry(given.mlflow, job))
    if not makers:
        raise ArgumentError("expected --index DIR, --mlflow PLACE, or both")
    if given.watch is not None and not given.watch > 0:
        raise ArgumentError(f"--watch {given.watch}: expected seconds, more than 0")
    for entry in registry.register(given.models, makers, given.watch):
        said = {**entry.metrics, **entry.evaluation}
        shown = "".join(f", {name} {value:.4g}" for name, value in said.items())
        print(f"{entry.job} {entry.version}: {entry.updates} updates{shown}", flush=True)
    return 0


def _doctor(given: argparse.Namespace) -> int:
    if (given.uri is None) != (given.job is None):
        raise ArgumentError("a URI and --job go together")
    if given.job is not None:
        check_name("job", given.job)
    options = Options(given.user, given.password, given.ca_file, patience=5.0)
    return doctor.run(given.uri, given.job, options, given.id)


def _run(
    parser: argparse.ArgumentParser,
    given: argparse.Namespace,
    command: Callable[[argparse.Namespace], int],
) -> int:
    """Runs a command. What is wrong is said in one line."""
    # What a command has made, it removes also when it is told to end.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    try:
        return command(given)
    except (ArgumentError, ImportError) as e:
        parser.exit(2, f"{parser.prog} {given.command}: {e}\n")
    except TributaryError as e:
        print(f"{parser.prog} {given.command}: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
