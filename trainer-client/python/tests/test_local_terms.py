# SPDX-License-Identifier: Apache-2.0
"""FedDyn's and SCAFFOLD's part of a trainer: the example for Python."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "local_terms.py"
ALPHA, RATE, STEPS = 0.3, 0.05, 7


@pytest.fixture(scope="module")
def local_terms():
    spec = importlib.util.spec_from_file_location("local_terms", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plan(w, config=None, measured=None, **sets):
    """A round with one tensor."""
    return SimpleNamespace(
        tensors={"w": w},
        config={"dynamic-alpha": ALPHA} if config is None else config,
        measured=measured or {},
        sets={name: SimpleNamespace(tensors={"w": value}) for name, value in sets.items()},
    )


def descend(w, target, mu, constant):
    """Some steps on half of the squared distance from the trainer's own target."""
    start, w = w.copy(), w.copy()
    for _ in range(STEPS):
        w -= RATE * (w - target + mu * (w - start) + constant)
    return w


def train(terms, round, target, samples):
    weights = terms.start(round)["w"]
    mu, constants = terms.begin(round, samples)
    weights = descend(weights, target, mu, constants["w"])
    sent = terms.end(round, {"w": weights}, STEPS, RATE)
    terms.commit()
    return weights, {name: values["w"] for name, values in sent.items()}


TARGETS = np.random.default_rng(3).normal(size=(3, 5))
SIZES = np.array([10, 30, 80])


def flame(rounds, present):
    """Flame's FedDyn in float64, from its formulas: the server remembers each trainer."""
    w, c, h = np.zeros(5), np.zeros(5), {}
    found = []
    for t in range(rounds):
        active = present(t)
        share = SIZES[active].sum() / len(active)
        moved = {}
        for k in active:
            alpha = ALPHA * share / SIZES[k]
            h.setdefault(k, np.zeros(5))
            moved[k] = descend(c, TARGETS[k], alpha, alpha * h[k]) - c
        h = {k: h[k] + moved[k] for k in active}
        w = c + np.mean([moved[k] for k in active], axis=0)
        c = w + np.mean([h[k] for k in active], axis=0)
        found.append(w)
    return found


@pytest.mark.parametrize(
    "present",
    [lambda t: [0, 1, 2], lambda t: [0, 1, 2] if t < 4 else [0, 2], lambda t: [0, 1, 2][: 1 + t]],
    ids=["all", "one leaves", "they join"],
)
def test_flames_feddyn_is_its_formula_though_the_server_remembers_nobody(local_terms, present):
    terms = [local_terms.LocalTerms() for _ in TARGETS]
    w, history = np.zeros(5), np.zeros(5)
    for t, expected in enumerate(flame(9, present)):
        active = present(t)
        measured = {"inverse-samples": len(active) / SIZES[active].sum()}
        round = plan(w, measured=measured, history=history)
        trained = [train(terms[k], round, TARGETS[k], SIZES[k]) for k in active]
        w = np.mean([weights for weights, _ in trained], axis=0)
        history = np.mean([sets["history"] for _, sets in trained], axis=0)
        np.testing.assert_allclose(w, expected, rtol=0, atol=1e-12)


def test_flames_model_and_its_history_together_are_the_papers_model(local_terms):
    """Where all trainers have as many samples and none is missing."""
    ours = [local_terms.LocalTerms() for _ in TARGETS]
    papers = [local_terms.LocalTerms() for _ in TARGETS]
    w, history, paper, h = np.zeros(5), np.zeros(5), np.zeros(5), np.zeros(5)
    for _ in range(6):
        round = plan(w, history=history)
        trained = [train(t, round, target, 20) for t, target in zip(ours, TARGETS, strict=True)]
        w = np.mean([weights for weights, _ in trained], axis=0)
        history = np.mean([sets["history"] for _, sets in trained], axis=0)
        round = plan(paper)
        trained = [train(t, round, target, 20) for t, target in zip(papers, TARGETS, strict=True)]
        change = np.mean([weights for weights, _ in trained], axis=0) - paper
        h = h - ALPHA * change
        paper = paper + change - h / ALPHA
        np.testing.assert_allclose(w + history, paper, rtol=0, atol=1e-12)
    assert np.abs(history).max() > 0.05


def test_nothing_is_remembered_of_an_update_that_does_not_count(local_terms):
    terms = local_terms.LocalTerms()
    round = plan(np.zeros(5), history=np.zeros(5))
    terms.begin(round, 20)
    terms.end(round, {"w": np.ones(5)}, STEPS, RATE)
    assert not terms.begin(round, 20)[1]["w"].any()
    terms.commit()
    np.testing.assert_allclose(terms.begin(round, 20)[1]["w"], ALPHA)


def test_scaffolds_trainer_sends_which_way_it_went(local_terms):
    terms = local_terms.LocalTerms()
    c = np.full(5, 0.25)
    round = plan(np.zeros(5), config={}, control=c)
    mu, constants = terms.begin(round, 20)
    assert mu == 0
    assert (constants["w"] == c).all()
    went = terms.end(round, {"w": np.ones(5)}, STEPS, RATE)["control"]["w"]
    np.testing.assert_allclose(went, -1 / (STEPS * RATE))
    terms.commit()
    np.testing.assert_allclose(terms.begin(round, 20)[1]["w"], 2 * c - went)


@pytest.mark.parametrize("which", ["control", "history"])
def test_counters_of_a_model_are_in_no_set(local_terms, which):
    floats = np.ones(3, np.float32)
    round = plan(floats, **{which: floats})
    round.tensors["steps"] = np.array([4])
    terms = local_terms.LocalTerms()
    assert sorted(terms.begin(round, 20)[1]) == ["w"]
    assert terms.start(round)["steps"] == [4]
    assert sorted(terms.end(round, round.tensors, 1, 0.1)[which]) == ["w"]


def test_another_algorithm_asks_for_nothing(local_terms):
    round = plan(np.ones(5), config={"proximal-mu": 0.5})
    terms = local_terms.LocalTerms()
    mu, constants = terms.begin(round, 20)
    assert mu == 0.5
    assert not constants["w"].any()
    assert terms.end(round, {"w": np.zeros(5)}, STEPS, RATE) == {}
