# SPDX-License-Identifier: Apache-2.0
"""Whoever follows a job, evaluates its models, or writes its rounds down."""

import json
import logging
import os

import numpy as np
import pytest

import tributary
from tributary import logs
from tributary.__main__ import main
from tributary.messages import Evaluation, Model, RoundId, Status
from tributary.testing import FakeJob


def send(job, run, metrics, samples=1):
    """A trainer takes part in the open round, and its update counts."""

    def train():
        with tributary.connect(job.uri, job=job.name, id=f"t-{samples}") as client:
            round = client.next_round(10)
            round.send(dict(round.tensors), samples=samples, metrics=metrics)

    training = run(train)
    job.commit(job.await_update(10))
    training.result(10)


def test_a_follower_hears_of_rounds_and_models_until_the_job_ends(job, run, model):
    with tributary.follow(job.uri, job=job.name) as news:
        job.open_round(model)
        send(job, run, {"loss": 1.0}, samples=1)
        send(job, run, {"loss": 2.0}, samples=3)
        job.finish()
        job.end()
        said = list(news)
    closed = [s for s in said if isinstance(s, Status) and s.state == "CLOSED"]
    assert [(s.id, s.updates, s.metrics) for s in closed] == [(RoundId(1, 0), 2, {"loss": 1.75})]
    assert [s.id for s in said if isinstance(s, Model)] == [RoundId(0, 0)]


def test_a_follower_says_when_nothing_comes(job):
    said_nothing = pytest.raises(tributary.NoAnswer, match="job 'fake' has said nothing")
    with tributary.follow(job.uri, job=job.name) as news, said_nothing:
        news.next(0.3)


def test_a_follower_reads_on_where_a_file_has_become_long(job, model, tmp_path):
    with tributary.follow(job.uri, job=job.name) as news:
        job.open_round(model)
        assert isinstance(news.next(10), Status | Model)
        assert isinstance(news.next(10), Status | Model)
        file = tmp_path / "job" / "fake" / "status.jsonl"
        job.open_round(model)
        file.rename(file.with_name("status.jsonl.1"))
        job.finish()
        states = []
        while "FINISHED" not in states:
            said = news.next(10)
            states += [said.state] if isinstance(said, Status) else []
    # The end of the first round is in the file that was put aside.
    assert states == ["CLOSED", "OPEN", "CLOSED", "FINISHED"]


def test_an_evaluator_gets_each_model_and_the_job_hears_of_it(job, run, model):
    seen = []

    def judge(found):
        seen.append((found.number, found.names, float(found.tensors["fc.bias"][0]), found.config))
        return {"accuracy": found.number / 2}, "enough" if found.number else ""

    job.open_round(model, {"lr": 0.5})
    judging = run(lambda: tributary.evaluate(judge, job.uri, job=job.name, id="judge"))
    assert job.await_evaluation(10) == Evaluation(RoundId(0, 0), {"accuracy": 0.0}, "")
    job.open_round({**model, "fc.bias": np.array([7, 7], np.float32)})
    assert job.await_evaluation(10) == Evaluation(RoundId(1, 0), {"accuracy": 0.5}, "enough")
    job.finish()
    job.end()
    judging.result(10)
    assert [s[:1] + s[2:] for s in seen] == [(0, 0.5, {"lr": 0.5}), (1, 7.0, {})]
    assert seen[0][1] == list(model)


def test_an_evaluation_that_is_none_is_an_error_that_names_the_model(job, run, model):
    job.open_round(model)
    judging = run(lambda: tributary.evaluate(lambda m: 0.5, job.uri, job=job.name, id="judge"))
    with pytest.raises(TypeError, match=r"model 0\.0 returns float; expected metrics"):
        judging.result(10)


class RejectingJob(FakeJob):
    """A job that takes nobody's word, and says why."""

    reason = "STALE_EPOCH"

    def _hear(self, file):
        data = file.read_bytes() if file.exists() else b""
        if data and data not in self.__dict__.setdefault("heard", []):
            self.heard.append(data)
            said = json.loads(data)
            letter = {"source": "control", "trainer": said["trainer"], "reason": self.reason}
            letter |= {"round": said["evaluation"]["round"], "epoch": 0, "text": "so it is"}
            self._append("dead-letters.jsonl", letter)


def test_an_evaluator_whose_model_is_too_old_by_now_goes_on(tmp_path, run, model, caplog):
    seen = []
    with RejectingJob(tmp_path) as job:
        job.open_round(model)
        judging = run(
            lambda: tributary.evaluate(
                lambda m: seen.append(m.number) or {}, job.uri, job=job.name, id="judge"
            )
        )
        while len(seen) < 1:
            assert not judging.done()
        job.open_round(model)
        while len(seen) < 2:
            assert not judging.done()
        job.end()
        judging.result(10)
    assert seen == [0, 1]


def test_an_evaluator_that_the_job_does_not_know_is_told_so(tmp_path, run, model):
    with RejectingJob(tmp_path) as job:
        job.reason = "UNKNOWN_TRAINER"
        job.open_round(model)
        judging = run(lambda: tributary.evaluate(lambda m: {}, job.uri, job=job.name, id="x"))
        with pytest.raises(tributary.Rejected, match="so it is"):
            judging.result(10)


def test_a_long_reason_to_stop_is_cut(job, run, model):
    job.open_round(model)
    judging = run(
        lambda: tributary.evaluate(lambda m: ({}, "é" * 500), job.uri, job=job.name, id="judge")
    )
    assert job.await_evaluation(10).stop == "é" * 300
    job.end()
    judging.result(10)


def test_metrics_that_are_not_finite_are_left_out_and_that_is_said(job, run, model, caplog):
    job.open_round(model)
    judging = run(
        lambda: tributary.evaluate(
            lambda m: {"a": np.float32(1), "b": float("nan")}, job.uri, job=job.name, id="judge"
        )
    )
    assert job.await_evaluation(10).metrics == {"a": 1.0}
    job.end()
    judging.result(10)
    assert "is not finite or has no printable name is left out" in caplog.text


@pytest.mark.parametrize(
    ("reference", "what"),
    [
        ("nothing", "expected module:function"),
        ("not_there:f", "cannot be loaded"),
        ("tributary:nothing", "cannot be loaded"),
        ("tributary:__version__", "is str, expected a function"),
    ],
)
def test_a_function_that_is_not_there(reference, what, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", reference, "shm:", "--job", "j", "--id", "judge"])
    assert ended.value.code == 2
    assert what in capsys.readouterr().err


def test_an_evaluator_from_the_command_line(job, run, model, tmp_path, monkeypatch):
    (tmp_path / "judging.py").write_text("def judge(model):\n    return {'n': len(model.names)}\n")
    monkeypatch.chdir(tmp_path)
    job.open_round(model)
    judging = run(
        lambda: main(["evaluate", "judging:judge", job.uri, "--job", "fake", "--id", "j"])
    )
    assert job.await_evaluation(10).metrics == {"n": 3.0}
    job.end()
    assert judging.result(10) == 0


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 2.0
        return self.now


class Kept:
    def __init__(self):
        self.values = []

    def write(self, step, values):
        self.values.append((step, dict(values)))

    def close(self):
        pass


def status(state="CLOSED", round=1, **more):
    return Status("j", RoundId(round, 0), state, 3, 3, {}, 1, 2, **more)


def test_what_is_written_of_rounds():
    kept = Kept()
    good = Evaluation(RoundId(1, 0), {"accuracy": 0.9})
    model = Model("j", "r", RoundId(0, 0), 10, 0.0, "")
    logs.write(
        [
            model,
            status("OPEN"),
            status(metrics={"loss": 0.5}),
            status(metrics={"loss": 0.5}),
            Model("j", "r", RoundId(1, 0), 10, 7.5, ""),
            status("OPEN", 2, evaluation=good),
            status("OPEN", 2, evaluation=good),
        ],
        kept,
        Clock(),
    )
    assert kept.values == [
        (
            1,
            {"round/updates": 3, "round/rejected": 1, "round/duplicates": 2, "train/loss": 0.5},
        ),
        (1, {"round/seconds": 2.0, "round/model_delay_ms": 7.5}),
        (1, {"evaluation/accuracy": 0.9}),
    ]


@pytest.mark.parametrize("kind", logs.WRITERS)
def test_a_log_is_what_its_tool_reads(kind, job, run, model, tmp_path, capsys):
    pytest.importorskip("tensorboard" if kind == "tensorboard" else "mlflow")
    directory = tmp_path / "logs"
    logging.getLogger("tributary").setLevel(logging.INFO)
    arguments = ["log", job.uri, "--job", job.name, "--to", kind, "--dir", str(directory)]
    writing = run(lambda: main(arguments))
    # It follows from its first line on.
    while "the rounds of 'fake' go to" not in capsys.readouterr().out:
        assert not writing.done(), writing.result()
    job.open_round(model)
    send(job, run, {"loss": 0.5})
    judging = run(
        lambda: tributary.evaluate(lambda m: {"accuracy": 0.75}, job.uri, job=job.name, id="judge")
    )
    job.await_evaluation(10)
    job.finish()
    job.end()
    judging.result(10)
    assert writing.result(10) == 0
    assert read(kind, directory)["evaluation/accuracy"] == [(0, 0.75)]
    assert read(kind, directory)["train/loss"] == [(1, 0.5)]
    assert read(kind, directory)["round/updates"] == [(1, 1.0)]


def read(kind, directory):
    """All that a tool finds, by name."""
    if kind == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        (found,) = directory.iterdir()
        events = EventAccumulator(str(found))
        events.Reload()
        return {t: [(e.step, e.value) for e in events.Scalars(t)] for t in events.Tags()["scalars"]}
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=directory.as_uri())
    (experiment,) = [e for e in client.search_experiments() if e.name == "fake"]
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    return {
        name: [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, name)]
        for name in found.data.metrics
    }
