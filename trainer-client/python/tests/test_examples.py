# SPDX-License-Identifier: Apache-2.0
"""Runs each example as its page says, two trainers of it, and adds up what they send."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tributary.testing import FakeJob

EXAMPLES = Path(__file__).parents[1] / "examples"
ROUNDS = 3
WAIT = 60

NEEDS = {
    "logistic_regression": ["sklearn"],
    "sgd_sklearn": ["sklearn"],
    "digits_torch": ["sklearn", "torch"],
    "digits_keras": ["sklearn", "keras"],
}


def softmax_layers(model, images):
    """The class that a model chooses: one or two layers, weights as their framework has them."""
    names = list(model)
    hidden = images
    for weight, bias in zip(names[::2], names[1::2], strict=True):
        w, b = model[weight], model[bias]
        hidden = hidden if hidden is images else np.maximum(hidden, 0)
        hidden = hidden @ (w if w.shape[0] == hidden.shape[1] else w.T) + b
    return hidden.argmax(axis=1)


ORDERS = {
    "logistic_regression": ["weight", "bias"],
    "sgd_sklearn": ["coef", "intercept"],
    "digits_torch": ["0.weight", "0.bias", "2.weight", "2.bias"],
    "digits_keras": ["0", "1", "2", "3"],
}


@pytest.mark.parametrize("example", NEEDS)
def test_an_example_learns(example, tmp_path):
    for module in NEEDS[example]:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    script = [sys.executable, str(EXAMPLES / f"{example}.py")]
    initial = tmp_path / "model-0.safetensors"
    subprocess.run([*script, "--initial", str(initial)], check=True)
    model = safetensors.numpy.load_file(initial)
    with FakeJob(tmp_path / "job") as job:
        trainers = [
            subprocess.Popen(
                [*script, job.uri, "--job", job.name, "--id", f"t-{i}", "--part", f"{i}/2"],
                stdout=subprocess.PIPE,
                text=True,
            )
            for i in (1, 2)
        ]
        try:
            for _ in range(ROUNDS):
                job.open_round({name: model[name] for name in ORDERS[example]})
                updates = [job.await_update(WAIT) for _ in trainers]
                total = sum(u.samples for u in updates)
                model = {
                    name: sum(u.samples * u.tensors[name].astype(float) for u in updates) / total
                    for name in model
                }
                model = {n: v.astype(updates[0].tensors[n].dtype) for n, v in model.items()}
                for update in updates:
                    job.commit(update)
            job.finish()
            for trainer in trainers:
                assert trainer.wait(WAIT) == 0
                assert trainer.stdout.read().count("COMMITTED") == ROUNDS
        finally:
            for trainer in trainers:
                trainer.kill()
    images, labels = held_out()
    ordered = {name: model[name] for name in ORDERS[example]}
    assert (softmax_layers(ordered, images) == labels).mean() > 0.8


def held_out():
    spec = importlib.util.spec_from_file_location("digits", EXAMPLES / "digits.py")
    digits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(digits)
    return digits.test_set()


def test_the_python_blocks_of_the_documentation_are_of_the_examples():
    """What a page shows is what was run: each block is in a file, line by line."""
    root = EXAMPLES.parents[2]
    sources = [
        f.read_text() for d in ("examples", "tests") for f in (EXAMPLES.parent / d).glob("*.py")
    ]
    sources = ["\n".join(line.strip() for line in s.splitlines()) for s in sources]
    pages = [root / "docs" / "python.md", root / "README.md"]
    blocks = [b.split("```")[0] for p in pages for b in p.read_text().split("```python\n")[1:]]
    assert len(blocks) > 4
    for block in blocks:
        stripped = "\n".join(line.strip() for line in block.strip().splitlines())
        assert any(stripped in source for source in sources), block
