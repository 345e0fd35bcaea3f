# SPDX-License-Identifier: Apache-2.0
"""Divides data among clients. The same seed divides it in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError

Indices = npt.NDArray[np.int64]

#: Divides examples, by their labels, among so many clients.
Partition = Callable[[Sequence[Any], int, np.random.Generator], list[Indices]]


def iid(labels: Sequence[Any], clients: int, random: np.random.Generator) -> list[Indices]:
    """All clients have the same number of examples, drawn from all of them."""
    order = random.permutation(len(labels)).astype(np.int64)
    return [np.sort(part) for part in np.array_split(order, clients)]


def dirichlet(alpha: float) -> Partition:
    """For each class the clients' proportions are drawn from a symmetric Dirichlet distribution.

    With a small ``alpha`` a client sees few classes, with a large one all see the same. Source:
    Hsu et al., "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
    Classification", 2019, section 3.
    """
    if not alpha > 0:
        raise ArgumentError(f"alpha is {alpha!r}, expected more than 0")

    def divide(labels: Sequence[Any], clients: int, random: np.random.Generator) -> list[Indices]:
        known = np.asarray(labels)
        parts: list[list[Indices]] = [[] for _ in range(clients)]
        for label in np.unique(known):
            members = random.permutation(np.flatnonzero(known == label)).astype(np.int64)
            proportions = _proportions(alpha, clients, random)
            cuts = np.round(np.cumsum(proportions)[:-1] * len(members)).astype(np.int64)
            for part, mine in zip(parts, np.split(members, cuts), strict=True):
                part.append(mine)
        return [np.sort(np.concatenate(part)) for part in parts]

    return divide


def _proportions(alpha: float, clients: int, random: np.random.Generator) -> npt.NDArray[Any]:
    # The logarithm of a gamma variable of a small alpha, which would be 0 (Marsaglia, Tsang 2000).
    logs = np.log(random.gamma(alpha + 1, size=clients)) + np.log(random.random(clients)) / alpha
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def shards(count: int) -> Partition:
    """The examples in the order of their labels, cut into pieces: each client has that many.

    Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized
    Data", 2017, section 3.
    """
    if count < 1:
        raise ArgumentError(f"shards is {count!r}, expected 1 or more")

    def divide(labels: Sequence[Any], clients: int, random: np.random.Generator) -> list[Indices]:
        order = np.argsort(np.asarray(labels), kind="stable").astype(np.int64)
        pieces = np.array_split(order, clients * count)
        dealt = random.permutation(len(pieces)).reshape(clients, count)
        return [np.sort(np.concatenate([pieces[i] for i in mine])) for mine in dealt]

    return divide


def divide(
    partition: Partition, labels: Sequence[Any], clients: int, random: np.random.Generator
) -> list[Indices]:
    """Divides examples so that each client has at least one: one without takes a random one."""
    if len(labels) < clients:
        raise ArgumentError(f"{len(labels)} examples for {clients} clients; expected one for each")
    return [
        part if len(part) else random.integers(len(labels), size=1)
        for part in partition(labels, clients, random)
    ]
