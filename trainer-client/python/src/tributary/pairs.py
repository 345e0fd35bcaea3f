# SPDX-License-Identifier: Apache-2.0
"""Configs in Flower's form: names and values on the command line, and nested ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ArgumentError
from .messages import Scalar

if sys.version_info >= (3, 11):
    import tomllib as toml
else:
    import tomli as toml

_PAIR = r"""(\S+?)=('[^']*'|"[^"]*"|\S+)"""


def flat(config: Mapping[str, Any], before: str = "") -> dict[str, Scalar]:
    """A nested config with dots in its names, as apps see it."""
    found: dict[str, Scalar] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{before}{name}."))
        else:
            found[before + name] = value
    return found


def parse_config(texts: Sequence[str]) -> dict[str, Scalar]:
    """``name=value`` pairs in Flower's form: values as TOML has them, pairs apart by spaces."""
    found: dict[str, Scalar] = {}
    for text in texts:
        pairs = re.findall(_PAIR, text)
        try:
            rest = re.sub(_PAIR, "", text).strip()
            if not pairs or rest:
                raise ValueError(f"'{rest}' is no pair")
            for name, value in pairs:
                found.update(flat({name: toml.loads(f"value = {value}")["value"]}))
        except ValueError as e:
            raise ArgumentError(
                f"config '{text}': expected NAME=VALUE pairs such as 'lr=0.1 name=\"a\"': {e}"
            ) from None
    return found


def read_toml(text: str) -> dict[str, Any]:
    """A TOML file's text. Raises ValueError if it is not TOML."""
    return toml.loads(text)
