# SPDX-License-Identifier: Apache-2.0
"""What FedGFT adds to a trainer, in NumPy: statistics of each model, and a term of the gradient.

Each sample is in one of two groups, False and True, and has the favourable outcome or not. The
model says how likely that is: ``predicted``, from 0 to 1.
"""

import numpy as np

NAMES = ("fairness-a", "fairness-b", "fairness-c", "fairness-d")


def statistics(round, predicted, group, outcome):
    """The metrics that the job asks for: a, b of the first group and c, d of the second."""
    kind = round.config.get("fairness")
    if kind is None:
        return {}
    part = predicted if kind == "SP" else predicted * outcome
    whole = {"SP": np.ones_like(predicted), "EOP": outcome, "CAL": predicted}[kind]
    values = [np.mean(part * ~group), np.mean(whole * ~group)]
    values += [np.mean(part * group), np.mean(whole * group)]
    return dict(zip(NAMES, map(float, values), strict=True))


def weights(round, group, outcome):
    """What the gradient of each sample's ``predicted`` is multiplied by, in the mean over samples.

    Zero where the job asks for nothing, one of the means is missing, or one of the groups is empty.
    """
    a, b, c, d = (round.measured.get(name, np.nan) for name in NAMES)
    if "fairness" not in round.config or np.isnan(a + c) or not (b > 0 and d > 0):
        return np.zeros(len(group))
    kind, bias = round.config["fairness"], a / b - c / d
    square = round.config["fairness-regularizer"] == "l2"
    coefficient = round.config["fairness-gamma"] * (bias if square else np.sign(bias))
    part, whole = np.where(group, c, a), np.where(group, d, b)
    if kind == "SP":
        change = 1 / whole
    elif kind == "EOP":
        change = outcome / whole
    else:
        change = (outcome - part / whole) / whole
    return coefficient * np.where(group, -change, change)
