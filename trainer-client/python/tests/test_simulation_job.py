# SPDX-License-Identifier: Apache-2.0
"""Whole simulations, with the real job. They need a build, so Java's tests run them."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from pathlib import Path

import numpy as np
import psutil
import pytest

import tributary
from tributary.simulation import partition, worker

pytestmark = pytest.mark.skipif(
    "TRIBUTARY_TEST_JOB" not in os.environ, reason="needs a build; SimulationITCase runs it"
)

CLIENTS, ROUNDS, SEED = 7, 3, 11
EXAMPLES = Path(__file__).parents[1] / "examples"
LEFT = Path(f"/dev/shm/tributary-{os.getuid()}")


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    assert not left_by(tmp_path)
    assert not list(tmp_path.glob("tributary-simulation-*"))


def left_by(work):
    """What is left in shared memory of simulations whose files are there."""
    found = []
    for mark in LEFT.glob("simulation-*/.simulation"):
        with contextlib.suppress(FileNotFoundError):
            found += [mark] if mark.read_text().startswith(str(work)) else []
    return found


def functions(train=None):
    """A line through points: defined in a function, as in a notebook."""
    x = np.linspace(-1, 1, 60, dtype=np.float32)
    y = (3 * x + 1 + 0.1 * np.sin(20 * x)).astype(np.float32)

    def step(tensors, data, config, seed):
        xs, ys, _ = data
        noise = np.random.default_rng(seed).normal(0, 0.01, 2).astype(np.float32)
        error = tensors["a"] * xs + tensors["b"] - ys
        rate = np.float32(config.get("lr", 0.5))
        return {
            "a": (tensors["a"] - rate * (error * xs).mean() + noise[0]).astype(np.float32),
            "b": (tensors["b"] - rate * error.mean() + noise[1]).astype(np.float32),
        }, {"error": float((error**2).mean())}

    def evaluate(tensors, data):
        xs, ys, _ = data
        return {"error": float(((tensors["a"] * xs + tensors["b"] - ys) ** 2).mean())}

    examples = (x, y, (np.arange(60) % 4))
    return types.SimpleNamespace(
        data=lambda directory: (examples, examples),
        model=lambda seed: {"a": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)},
        train=train or step,
        evaluate=evaluate,
    )


def reference():
    """The same federation from its formula: the mean of the clients, weighted, in float64."""
    app = functions()
    examples, _ = app.data(None)
    divided = partition.dirichlet(0.5)
    parts = partition.divide(divided, examples[-1], CLIENTS, np.random.default_rng(SEED))
    model, rounds = app.model(SEED), []
    for number in range(1, ROUNDS + 1):
        sums = {name: np.zeros(1) for name in model}
        for client, mine in enumerate(parts):
            seed = worker.seed_of(SEED, client, number)
            trained, _ = app.train(model, tuple(a[mine] for a in examples), {"lr": 0.25}, seed)
            for name, value in trained.items():
                sums[name] += len(mine) * value.astype(np.float64)
        total = sum(len(mine) for mine in parts)
        model = {name: (value / total).astype(np.float32) for name, value in sums.items()}
        rounds.append(app.evaluate(model, examples)["error"])
    return model, rounds


def test_a_simulation_is_federated_averaging_and_its_seed_repeats_it(tmp_path):
    seen = []

    def simulate(seed, workers):
        return tributary.simulate(
            functions(),
            clients=CLIENTS,
            rounds=ROUNDS,
            alpha=0.5,
            seed=seed,
            workers=workers,
            config={"lr": 0.25},
            csv_file=tmp_path / "rounds.csv",
            on_round=seen.append,
        )

    result = simulate(SEED, 2)
    model, errors = reference()
    for name, value in model.items():
        assert np.allclose(result.model[name], value, rtol=1e-6, atol=0), name
    assert np.allclose([r.evaluation["error"] for r in result.rounds[1:]], errors, rtol=1e-5)
    assert [r.round for r in seen] == [0, 1, 2, 3]
    assert all(r.updates == CLIENTS and r.samples >= 60 and r.seconds > 0 for r in seen[1:])
    assert all(r.metrics["error"] > 0 for r in seen[1:])
    assert len((tmp_path / "rounds.csv").read_text().splitlines()) == ROUNDS + 2
    again, other = simulate(SEED, 3), simulate(SEED + 1, 2)
    assert all(np.array_equal(result.model[n], again.model[n]) for n in model)
    assert any(not np.array_equal(result.model[n], other.model[n]) for n in model)


def test_the_page_of_the_documentation(capsys):
    app = EXAMPLES / "simulate_digits.py"
    result = tributary.simulate(app, clients=20, rounds=3, alpha=0.5, seed=7, on_round=print)
    print(result.rounds[-1].evaluation["accuracy"], result.model["fc2.bias"])
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said[:4]] == [f"round {i}" for i in range(4)]
    assert float(said[4].split()[0]) > 0.2


def test_a_flower_app_is_simulated_as_it_is():
    result = tributary.simulate(
        Path(__file__).parent / "flower_app", clients=5, run_config={"local-epochs": 3}
    )
    # Three rounds, as its config says; each client has evaluated each model, the last one too.
    assert [r.round for r in result.rounds] == [0, 1, 2, 3]
    accuracy = [r.evaluation["eval_acc"] for r in result.rounds]
    assert accuracy[0] < 0.2
    assert accuracy[-1] > 0.6
    assert all(r.metrics["train_loss"] > 0 for r in result.rounds[1:])


def test_settings_are_those_of_the_job():
    result = tributary.simulate(
        functions(),
        clients=3,
        rounds=1,
        # Its clients answer when they are asked, else it would take an hour.
        settings={
            "algorithm": "median",
            "rounds.max-trainers": 3,
            "rounds.evaluate-every": 1,
            "rounds.evaluate-deadline": "1 h",
        },
    )
    assert result.rounds[-1].updates == 3
    with pytest.raises(tributary.TributaryError, match=r"ended with code 2.*rounds\.nothing"):
        tributary.simulate(functions(), clients=3, rounds=1, settings={"rounds.nothing": 3})


def test_a_client_that_fails_is_named():
    def train(tensors, data, config, seed):
        raise KeyError("the third word")

    with pytest.raises(tributary.TributaryError, match=r"client [0-2] has failed: KeyError"):
        tributary.simulate(functions(train), clients=3, rounds=1)


def test_a_client_that_exits_is_named_too():
    def train(tensors, data, config, seed):
        sys.exit("no device")

    with pytest.raises(tributary.TributaryError, match="has failed: SystemExit: no device"):
        tributary.simulate(functions(train), clients=3, rounds=1)


def test_a_client_that_cannot_be_made_is_told_of_while_the_job_starts():
    app = functions()
    ragged = ([[1], [1, 2], [3]], [0, 1, 0])
    app.data = lambda directory: (ragged, ragged)
    with pytest.raises(tributary.TributaryError, match="has failed: ValueError"):
        tributary.simulate(app, clients=3, rounds=1)


def test_a_worker_that_is_killed_ends_it():
    def train(tensors, data, config, seed):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(tributary.TributaryError, match="has ended with code -9"):
        tributary.simulate(functions(train), clients=3, rounds=1)


def test_it_runs_beside_an_event_loop_and_in_a_thread():
    import asyncio

    async def main():
        return await asyncio.to_thread(tributary.simulate, functions(), clients=2, rounds=1)

    assert asyncio.run(main()).rounds[-1].updates == 2
    assert threading.active_count() < 5


def test_a_notebook(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    cells = [
        """
import numpy as np, tributary
from tributary.testing import FakeJob

job = FakeJob("job")
job.open_round({"w": np.zeros(2, np.float32)})
trainer = tributary.connect(job.uri, job=job.name, id="t-1")
sending = job.run(lambda: trainer.next_round(10).send({"w": np.ones(2)}, samples=1))
job.commit(job.await_update(10))
print("blocking", sending.result(10).status)
trainer.close()
""",
        """
job.open_round({"w": np.zeros(2, np.float32)})
committing = job.run(lambda: job.commit(job.await_update(10)))
async with tributary.aio.connect(job.uri, job=job.name, id="t-2") as trainer:
    async for round in trainer.rounds():
        print("await", (await trainer.send(round, {"w": np.ones(2)}, samples=1)).status)
        break
job.close()
""",
        """
class app:
    def data(directory):
        return (np.zeros(8), np.arange(8)), (np.zeros(1), np.zeros(1))

    def model(seed):
        return {"w": np.zeros(2, np.float32)}

    def train(tensors, data, config, seed):
        tensors["w"] += 1
        return tensors, {}

result = tributary.simulate(app, clients=2, rounds=2, progress=True)
print("simulated", result.model["w"])
""",
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import tributary.aio\n" + cell) for cell in cells]
    )
    client.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": tmp_path}}
    ).execute()
    said = "".join(o.get("text", "") for cell in notebook.cells for o in cell.outputs)
    assert "blocking COMMITTED" in said
    assert "await COMMITTED" in said
    assert "simulated [2. 2.]" in said


def test_the_command_removes_what_it_made_when_it_is_told_to_end():
    line = [sys.executable, "-m", "tributary", "simulate", "--clients", "4", "--rounds", "1000000"]
    line += ["--app", str(EXAMPLES / "simulate_digits.py")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("round 1:"):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ValueError):
            process.stdout.read()
        assert process.wait(60) == 128 + signal.SIGTERM


def test_a_command_that_is_killed_leaves_nothing_that_the_next_one_does_not_remove(tmp_path):
    line = [sys.executable, "-m", "tributary", "simulate", "--clients", "2", "--rounds", "1000000"]
    line += ["--app", str(EXAMPLES / "simulate_digits.py")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("round 1:"):
            assert process.poll() is None
        children = [p.pid for p in psutil.Process(process.pid).children(recursive=True)]
        assert len(children) >= 3
        process.kill()
        process.wait(60)
    end = time.monotonic() + 60
    while any(psutil.pid_exists(pid) for pid in children):
        assert time.monotonic() < end
    assert left_by(tmp_path)
    # The fixture looks whether all is gone.
    tributary.simulate(functions(), clients=2, rounds=1)
