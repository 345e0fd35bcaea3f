# SPDX-License-Identifier: Apache-2.0
"""A job asks its trainers what a model is worth, between two rounds."""

import logging

import numpy as np
import pytest

import tributary
from tributary.errors import Malformed
from tributary.messages import Evaluation, TrainerShare, decode_plan, encode
from tributary.topics import bucket


def test_a_trainer_that_is_asked_says_what_the_model_is_worth_and_trains_on(job, run, model):
    asked = []

    def evaluate(round):
        asked.append((round.number, round.config["lr"], round.tensors["fc.bias"].tolist()))
        return 30, {"accuracy": 0.25, "bad": float("nan")}

    def train():
        with tributary.connect(job.uri, job=job.name, id="t-1", evaluate=evaluate) as client:
            rounds = []
            for round in client.rounds(10):
                rounds.append((round.number, dict(round.measured)))
                round.send(dict(round.tensors), samples=1)
            return rounds

    version = job.ask(model, {"lr": 0.5})
    training = run(train)
    assert job.await_evaluation(10) == Evaluation(version, {"accuracy": 0.25}, "", 30)
    for number in (1, 2):
        job.open_round(model, measured={"accuracy": 0.25} if number == 1 else None)
        job.commit(job.await_update(10))
    job.finish()
    assert training.result(10) == [(1, {"accuracy": 0.25}), (2, {})]
    assert asked == [(1, 0.5, [0.5, -0.5])]


def test_a_trainer_that_cannot_say_it_lets_the_job_go_on(job, run, model):
    version = job.ask(model)

    def train():
        with tributary.connect(job.uri, job=job.name, id="t-1") as client:
            return client.next_round(10)

    training = run(train)
    assert job.await_evaluation(10) == Evaluation(version, {}, "", 0)
    job.open_round(model)
    assert training.result(10).number == 1


def test_one_model_is_evaluated_once_and_the_next_one_too(job, run, model):
    values = []

    def evaluate(round):
        values.append(float(round.tensors["fc.bias"][0]))
        return 1, {"bias": values[-1]}

    def train():
        with tributary.connect(job.uri, job=job.name, id="t-1", evaluate=evaluate) as client:
            for round in client.rounds(10):
                round.send(dict(round.tensors), samples=1)

    training = run(train)
    for number in (1, 2):
        model["fc.bias"] = np.array([number, 0], np.float32)
        job.ask(model)
        assert job.await_evaluation(10).metrics == {"bias": number}
        job.open_round(model)
        job.commit(job.await_update(10))
    job.finish()
    training.result(10)
    assert values == [1.0, 2.0]


@pytest.mark.parametrize("found", [0.5, {"accuracy": 0.5}, ({"accuracy": 0.5}, 3), (1, 2, 3)])
def test_an_evaluation_of_another_form_is_an_error_that_says_which(job, run, model, found):
    job.ask(model)

    def train():
        with tributary.connect(job.uri, job=job.name, id="t", evaluate=lambda _: found) as client:
            client.next_round(10)

    with pytest.raises(TypeError, match=r"model 0\.0 returns .*expected the number"):
        run(train).result(10)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            (4, {"loss": "x"}),
            r"of model 0\.0: metric 'loss' is 'x', expected a number",
        ),
        ((0, {"loss": 1}), r"of model 0\.0: samples is 0, expected an integer"),
    ],
)
def test_what_cannot_be_said_names_the_evaluation(job, run, model, found, expected):
    job.ask(model)

    def train():
        with tributary.connect(job.uri, job=job.name, id="t", evaluate=lambda _: found) as client:
            client.next_round(10)

    with pytest.raises((TypeError, ValueError), match=expected):
        run(train).result(10)


def test_a_metric_that_is_left_out_is_logged(job, run, model, caplog):
    version = job.ask(model)

    def evaluate(_):
        return 4, {"loss": float("nan"), "accuracy": 0.5}

    def train():
        with tributary.connect(job.uri, job=job.name, id="t", evaluate=evaluate) as client:
            client.next_round(10)

    running = run(train)
    assert job.await_evaluation(20) == Evaluation(version, {"accuracy": 0.5}, "", 4)
    assert "or there are more than 32: loss = nan" in caplog.text
    job.finish()
    running.result(10)


def test_a_flower_app_is_asked(job, run, model):
    fl = pytest.importorskip("flwr.clientapp")
    from flwr.app import Message, MetricRecord, RecordDict

    from tributary import flower

    app = fl.ClientApp()

    @app.evaluate()
    def evaluate(message: Message, context):
        metrics = MetricRecord({"loss": 0.75, "num-examples": 12})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    version = job.ask(model)
    running = run(lambda: flower.run(app, job.uri, job=job.name, id="t-1"))
    assert job.await_evaluation(20) == Evaluation(version, {"loss": 0.75}, "", 12)
    job.finish()
    running.result(10)


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (None, "'asked' is None"),
        ({"from": 256, "buckets": 1}, "'from'"),
        ({"from": 0, "buckets": 0}, "'buckets'"),
    ],
)
def test_a_plan_that_asks_in_a_way_that_cannot_be_is_malformed(asked, wrong):
    plan = {
        "version": 1,
        "job": "j",
        "state": "EVALUATING",
        "round": 1,
        "epoch": 0,
        "modelRound": 0,
        "modelEpoch": 0,
        "kind": "WEIGHTS",
        "deadlineSeconds": 0.0,
        "restores": 0,
        "run": "r",
        "end": "",
        "asked": asked,
        "must": ["asked"],
    }
    with pytest.raises(Malformed, match=wrong):
        decode_plan(encode(plan))


def test_a_share_goes_on_behind_the_last_bucket():
    ids = [f"trainer-{i}" for i in range(4000)]
    first, second = TrainerShare(200, 100), TrainerShare(44, 156)
    asked = [first.has(id) for id in ids]
    assert asked == [not second.has(id) for id in ids]
    assert 0.35 < sum(asked) / len(ids) < 0.43


def test_an_id_has_the_same_bucket_in_each_language():
    """The same ids and numbers are in the tests in Java."""
    assert [bucket(id) for id in ("hospital-7", "trainer", "t-0")] == [224, 105, 135]


def test_an_answer_that_may_be_lost_is_given_again(job, run, model, monkeypatch):
    from tributary.shm.connection import ShmConnection

    sent = []
    evaluate = ShmConnection.evaluate

    def losing(self, message):
        sent.append(message)
        return evaluate(self, message) if len(sent) == 3 else False

    monkeypatch.setattr(ShmConnection, "evaluate", losing)
    asked = []

    def answer(round):
        asked.append(round.model_round)
        return np.int64(3), {"loss": np.float32(0.5)}

    def train():
        with tributary.connect(job.uri, job=job.name, id="t-1", evaluate=answer) as client:
            client.next_round(10)

    version = job.ask(model)
    training = run(train)
    assert job.await_evaluation(10) == Evaluation(version, {"loss": 0.5}, "", 3)
    job.open_round(model)
    training.result(10)
    assert asked == [0]
    assert len(sent) == 3


def test_what_was_said_is_logged(job, run, model, caplog):
    caplog.set_level(logging.INFO, "tributary")
    job.ask(model)

    def train():
        evaluate = lambda _: (3, {"loss": 1.5})  # noqa: E731
        with tributary.connect(job.uri, job=job.name, id="t-1", evaluate=evaluate) as client:
            client.next_round(10)

    training = run(train)
    job.await_evaluation(10)
    job.open_round(model)
    training.result(10)
    assert "t-1: model 0.0: {'loss': 1.5}" in caplog.text


def test_the_doctor_finds_a_job_that_asks(job, model, capsys):
    from tributary.__main__ import main

    job.ask(model)
    main(["doctor", job.uri, "--job", job.name])
    line = next(s for s in capsys.readouterr().out.splitlines() if "'fake': round" in s)
    assert "ok" in line
    assert "is EVALUATING" in line
