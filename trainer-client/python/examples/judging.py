# SPDX-License-Identifier: Apache-2.0
"""An evaluator of the models of ``simulate_digits.py``, which ends the rounds when they are good.

cd trainer-client/python/examples
python -m tributary evaluate judging:judge mqtt://127.0.0.1:1883 --job digits --id judge
"""

from digits import test_set
from simulate_digits import evaluate


def judge(model):
    """Called with each model; ``model.torch()`` has it as torch tensors."""
    found = evaluate(dict(model.tensors), test_set())
    return found, "accurate enough" if found["accuracy"] > 0.9 else ""
