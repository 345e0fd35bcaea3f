# SPDX-License-Identifier: Apache-2.0
"""Writes the model that a job begins with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from .tensors import ORDER, SETS, Tensors, as_numpy


def save_model(file: str | os.PathLike[str], tensors: Tensors | Sequence[Any]) -> None:
    """Writes a model as a safetensors file, for ``model.initial`` of a job.

    ``tensors`` are arrays or torch tensors by name, such as ``model.state_dict()``, or a list of
    them, such as Keras's ``get_weights()``; those of a list are named 0, 1, … The file keeps their
    order, by which ``Round.arrays`` and lists of tensors go. Tensors of torch that share
    memory are written twice.
    """
    path = Path(file)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(model_bytes(tensors))
    part.replace(path)


def model_bytes(
    tensors: Tensors | Sequence[Any], sets: Mapping[str, Tensors] | None = None
) -> bytes:
    """The bytes of that file, with tensor sets as a job writes them."""
    if not isinstance(tensors, Mapping):
        tensors = {str(index): value for index, value in enumerate(tensors)}
    arrays = {
        name: np.asarray(as_numpy(value, exact=True), order="C") for name, value in tensors.items()
    }
    metadata = {ORDER: json.dumps(list(arrays))}
    if sets:
        metadata[SETS] = json.dumps(list(sets))
        for name, its in sets.items():
            for tensor, value in its.items():
                arrays[f"{name}/{tensor}"] = np.asarray(as_numpy(value, exact=True), order="C")
    return safetensors.numpy.save(arrays, metadata)
