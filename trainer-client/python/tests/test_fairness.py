# SPDX-License-Identifier: Apache-2.0
"""FedGFT's part of a trainer: the example for Python."""

import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "fairness.py"


@pytest.fixture(scope="module")
def fairness():
    spec = importlib.util.spec_from_file_location("fairness", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked(kind, regularizer="l2", gamma=3.0, measured=None):
    config = {"fairness": kind, "fairness-gamma": gamma, "fairness-regularizer": regularizer}
    return types.SimpleNamespace(config=config, measured=measured or {})


def logistic(w, x):
    return 1 / (1 + np.exp(-x @ w))


@pytest.mark.parametrize("kind", ["SP", "EOP", "CAL"])
@pytest.mark.parametrize("regularizer", ["l2", "id"])
def test_the_terms_of_all_trainers_are_the_gradient_of_the_bias_of_all(fairness, kind, regularizer):
    """Against the difference quotient of what is made small, over the data of three trainers."""
    random = np.random.default_rng(7)
    w = random.normal(size=4)
    shares = []
    for size in (30, 50, 80):
        x = random.normal(size=(size, 4))
        group = random.random(size) < 0.2 + size / 200
        shares.append((x, group, random.random(size) < 0.4 + 0.3 * group))

    def measured(at):
        found = [
            fairness.statistics(asked(kind), logistic(at, x), group, outcome)
            for x, group, outcome in shares
        ]
        sizes = [len(x) for x, _, _ in shares]
        return {n: np.average([f[n] for f in found], weights=sizes) for n in fairness.NAMES}

    def penalty(at):
        a, b, c, d = (measured(at)[name] for name in fairness.NAMES)
        bias = a / b - c / d
        return 3.0 * (bias**2 / 2 if regularizer == "l2" else abs(bias))

    round = asked(kind, regularizer, measured=measured(w))
    samples = sum(len(x) for x, _, _ in shares)
    gradient = np.zeros(4)
    for x, group, outcome in shares:
        p = logistic(w, x)
        gradient += (fairness.weights(round, group, outcome) * p * (1 - p)) @ x / samples
    steps = 1e-6 * np.eye(4)
    expected = [(penalty(w + s) - penalty(w - s)) / 2e-6 for s in steps]
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)


def test_nothing_is_asked_and_nothing_added_by_another_algorithm(fairness):
    round = types.SimpleNamespace(config={}, measured={"accuracy": 0.5})
    group, outcome = np.array([True, False]), np.array([True, True])
    assert fairness.statistics(round, np.array([0.5, 0.5]), group, outcome) == {}
    assert not fairness.weights(round, group, outcome).any()


def test_with_an_empty_group_there_is_no_bias(fairness):
    measured = dict(zip(fairness.NAMES, (0.5, 1.0, 0.0, 0.0), strict=True))
    weights = fairness.weights(
        asked("SP", measured=measured), np.array([False, False]), np.array([True, False])
    )
    assert not weights.any()


@pytest.mark.parametrize("missing", ["fairness-a", "fairness-d"])
def test_nothing_is_added_where_one_of_the_means_is_missing(fairness, missing):
    measured = {name: 0.5 for name in fairness.NAMES if name != missing}
    group, outcome = np.array([True, False]), np.array([True, True])
    assert not fairness.weights(asked("SP", measured=measured), group, outcome).any()
