# SPDX-License-Identifier: Apache-2.0
"""Flower apps and clients, without a change to them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.client import Client, NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import Code, FitRes, Status

from tributary import flower

APP = Path(__file__).parent / "flower_app"
WAIT = 30
MODEL = {"weight": np.zeros((64, 10), np.float32), "bias": np.zeros(10, np.float32)}


def start(job, id, *more):
    return subprocess.Popen(
        [
            sys.executable, "-m", "tributary.flower", str(APP), "--connect", job.uri,
            "--job", job.name, "--id", id, *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_an_app_takes_part_without_a_change(job):
    trainers = [
        start(job, f"t-{i}", "--node-config", f"partition-id={i} num-partitions=2") for i in (0, 1)
    ]
    model = dict(MODEL)
    evaluated = []
    try:
        for _ in range(3):
            job.open_round(model, {"lr": 0.5})
            updates = [job.await_update(WAIT) for _ in trainers]
            assert {u.samples for u in updates} == {899, 898}
            evaluated.append(np.mean([u.metrics["eval_acc"] for u in updates]))
            assert all(u.metrics["train_loss"] < 2.3 for u in updates)
            assert "num-examples" not in updates[0].metrics
            total = sum(u.samples for u in updates)
            model = {
                n: sum(u.samples * u.tensors[n].astype(float) for u in updates) / total
                for n in model
            }
            model = {n: v.astype(np.float32) for n, v in model.items()}
            for update in updates:
                job.commit(update)
        job.finish()
        said = [trainer.communicate(timeout=WAIT) for trainer in trainers]
        assert [t.returncode for t in trainers] == [0, 0], said
    finally:
        for trainer in trainers:
            trainer.kill()
    assert evaluated[0] < 0.2
    assert evaluated[2] > 0.6
    assert "digits_app.server_app:app is not run" in said[0][1]


def test_the_apps_config_can_be_changed_and_only_what_it_has(job):
    with start(job, "t", "--run-config", "epochs=3") as trainer:
        _, error = trainer.communicate(timeout=WAIT)
    assert trainer.returncode == 2
    assert "--run-config epochs: the app's config has no such name; it has" in error
    app, config = flower.load_app(APP)
    assert isinstance(app, ClientApp)
    assert config == {"num-server-rounds": 3, "local-epochs": 5, "optimizer.momentum": 0.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1 b=2.5", {"a": 1, "b": 2.5}),
        ("name='a b' on=true", {"name": "a b", "on": True}),
        ("lr", None),
        ("lr 0.1 a=1 junk b=2", None),
        ("lr=", None),
        ("lr=half", None),
    ],
)
def test_configs_are_read_as_flower_reads_them(text, expected):
    if expected is None:
        with pytest.raises(ValueError, match="expected NAME=VALUE pairs"):
            flower.parse_config([text])
    else:
        assert flower.parse_config([text]) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "expected a Flower app's pyproject.toml"),
        ({"pyproject.toml": "[project]"}, "clientapp"),
        (
            {"pyproject.toml": '[tool.flwr.app.components]\nclientapp = "nowhere_at_all:app"'},
            "clientapp 'nowhere_at_all:app' cannot be loaded",
        ),
    ],
)
def test_what_is_no_app_is_named(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=expected):
        flower.load_app(tmp_path)


class Plus(NumPyClient):
    """A client of before the message API."""

    def fit(self, parameters, config):
        assert config["server-round"] == 1
        assert config["lr"] == 0.5
        return [p + 1 for p in parameters], 12, {"loss": 0.25, "note": "a text"}

    def evaluate(self, parameters, config):
        return 0.75, 12, {"accuracy": float(parameters[0].sum())}


def take_part(job, app, run, **more):
    return run(
        flower.run, app, job.uri, job=job.name, id="t", timeout=10, config={"lr": 0.5}, **more
    )


@pytest.mark.parametrize("as_what", ["client", "client_fn", "client app"])
def test_a_numpy_client_takes_part(job, run, as_what):
    app = {
        "client": Plus(),
        "client_fn": lambda context: Plus(),
        "client app": ClientApp(lambda context: Plus().to_client()),
    }[as_what]
    job.open_round({"w": np.arange(3, dtype=np.float32), "b": np.ones(1, np.float32)})
    trainer = take_part(job, app, run)
    update = job.await_update(WAIT)
    assert update.samples == 12
    assert update.tensors["w"].tolist() == [1, 2, 3]
    assert update.metrics == {"loss": 0.25, "accuracy": 3.0}
    job.commit(update)
    job.finish()
    trainer.result(WAIT)


def documented(flower, app, uri):
    flower.run(app, uri, job="digits", id="t-1", group="eu", node_config={"partition-id": 0})


def test_the_documented_call(job, run):
    class Here:
        @staticmethod
        def run(app, uri, job, **options):
            flower.run(app, uri, job="fake", timeout=10, config={"lr": 0.5}, **options)

    job.open_round({"w": np.zeros(3, np.float32)})
    trainer = run(documented, Here, Plus(), job.uri)
    update = job.await_update(WAIT)
    assert update.trainer == "t-1"
    job.commit(update)
    job.finish()
    trainer.result(WAIT)


def app_that_returns(arrays, metrics):
    app = ClientApp()

    @app.train()
    def train(message, context):
        content = {"arrays": ArrayRecord(arrays), "metrics": MetricRecord(metrics)}
        return Message(content=RecordDict(content), reply_to=message)

    return app


@pytest.mark.parametrize(
    ("arrays", "metrics", "expected"),
    [
        ([np.zeros(3)], {"num-examples": 1}, r"shapes \[\[3\]\], the model's, in its order, "),
        ([np.zeros(1), np.zeros(3)], {"num-examples": 1}, r"\[\[1\], \[3\]\].*\[\[3\], \[1\]\]"),
        ({"x": np.zeros(3)}, {"num-examples": 1}, "the app's tensors are x, the model's w, b"),
        ([np.zeros(3), np.zeros(1)], {"loss": 1}, "num-examples = None; expected a MetricRecord"),
        ([np.zeros(3), np.zeros(1)], {"num-examples": 0}, "num-examples = 0"),
    ],
)
def test_what_does_not_fit_is_named(job, run, arrays, metrics, expected):
    if isinstance(arrays, dict):
        from flwr.app import Array

        arrays = {name: Array(value) for name, value in arrays.items()}
    job.open_round({"w": np.zeros(3), "b": np.zeros(1)})
    trainer = take_part(job, app_that_returns(arrays, metrics), run)
    with pytest.raises(ValueError, match=expected):
        trainer.result(WAIT)
    assert job.trainers == []


def test_names_are_taken_where_the_app_has_them(job, run):
    from flwr.app import Array

    job.open_round({"w": np.zeros(3), "b": np.zeros(1)})
    app = app_that_returns(
        {"b": Array(np.ones(1)), "w": Array(np.full(3, 2.0))}, {"num-examples": 3}
    )
    trainer = take_part(job, app, run)
    update = job.await_update(WAIT)
    assert update.tensors["w"].tolist() == [2, 2, 2]
    job.commit(update)
    job.finish()
    trainer.result(WAIT)


def test_secure_aggregation_needs_flowers_server():
    with pytest.raises(ValueError, match="secaggplus_mod, which needs Flower's server"):
        flower.as_client_app(ClientApp(mods=[secaggplus_mod]))
    app = ClientApp()
    app.train(mods=[secaggplus_mod])(lambda message, context: message)
    with pytest.raises(ValueError, match="secaggplus_mod, which needs Flower's server"):
        flower.as_client_app(app)
    with pytest.raises(TypeError, match="expected a ClientApp"):
        flower.as_client_app(7)


def test_a_job_that_is_not_there_is_one_line(tmp_path):
    with subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys; from tributary import flower; sys.exit(flower.main(sys.argv[1:]))",
            str(APP), "--connect", f"shm:{tmp_path}?agent-port=1", "--job", "j", "--id", "t",
            "--timeout", "1",
        ],
        stderr=subprocess.PIPE,
        text=True,
    ) as trainer:  # fmt: skip
        _, error = trainer.communicate(timeout=WAIT)
    assert trainer.returncode == 1
    assert error.splitlines()[-1].startswith("t: job 'j' has not answered within 1 s")


class Old(Client):
    """A client of before NumPyClient, without evaluate."""

    code = Code.OK

    def fit(self, ins):
        return FitRes(Status(self.code, "out of memory"), ins.parameters, 5, {})


def test_a_client_without_evaluate_makes_no_loss_up(job, run):
    job.open_round({"w": np.zeros(3, np.float32)})
    trainer = take_part(job, Old(), run)
    update = job.await_update(WAIT)
    assert update.samples == 5
    assert update.metrics == {}
    job.commit(update)
    job.finish()
    trainer.result(WAIT)


def test_a_fit_that_has_failed_is_not_sent(job, run):
    class Failing(Old):
        code = Code.FIT_NOT_IMPLEMENTED

    job.open_round({"w": np.zeros(3, np.float32)})
    with pytest.raises(RuntimeError, match="fit has failed: out of memory"):
        take_part(job, Failing(), run).result(WAIT)


@pytest.mark.parametrize("more", [["--connect", "htp://h:1"], ["--ca-file", "x"]])
def test_a_wrong_argument_is_one_line(tmp_path, more, capsys):
    given = [str(APP), "--connect", "mqtt://h:1", "--job", "j", "--id", "t", *more]
    with pytest.raises(SystemExit) as ended:
        flower.main(given)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
