# SPDX-License-Identifier: Apache-2.0
"""``python -m tributary``."""

from __future__ import annotations

import argparse
import os
import sys

from . import doctor
from .connection import Options
from .messages import check_name


def main(arguments: list[str] | None = None) -> int:
    """Runs a command. Returns its exit code: 0 for success, 1 for failure, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m tributary", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    examine = commands.add_parser(
        "doctor", help="say which packages are there, and whether a job can be reached"
    )
    examine.add_argument("uri", nargs="?", help="how the job is reached, such as mqtt://HOST:1883")
    examine.add_argument("--job", help="the job's name")
    examine.add_argument("--id", help="the trainer's id, if the broker's rules depend on it")
    examine.add_argument("--user", default="", help="MQTT user name")
    examine.add_argument(
        "--password",
        default=os.environ.get("TRIBUTARY_PASSWORD", ""),
        help="its password; better in the environment variable TRIBUTARY_PASSWORD",
    )
    examine.add_argument("--ca-file", default="", help="PEM file with the certificates to trust")
    given = parser.parse_args(arguments)
    if (given.uri is None) != (given.job is None):
        parser.error("a URI and --job go together")
    try:
        if given.job is not None:
            check_name("job", given.job)
        options = Options(given.user, given.password, given.ca_file, patience=5.0)
        return doctor.run(given.uri, given.job, options, given.id)
    except ValueError as e:
        parser.error(str(e))


if __name__ == "__main__":
    sys.exit(main())
