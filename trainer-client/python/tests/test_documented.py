# SPDX-License-Identifier: Apache-2.0
"""What docs/python.md shows, and what it says beside it."""

import asyncio
import threading

import numpy as np
import pytest

import tributary
import tributary.aio
from tributary.testing import FakeJob


def train_all(uri, job, id):
    """The code under test of the page."""
    with tributary.connect(uri, job=job, id=id) as client:
        for round in client.rounds(timeout=10):
            round.send({"w": round.tensors["w"] + 1}, samples=100)


def test_my_trainer(tmp_path):
    with FakeJob(tmp_path) as job:
        job.open_round({"w": np.zeros(3, np.float32)})
        trainer = job.run(train_all, job.uri, job.name, "t-1")
        update = job.await_update(timeout=10)
        assert update.samples == 100
        assert update.tensors["w"].tolist() == [1, 1, 1]
        job.commit(update)  # or job.reject(update, "NOT_FINITE", "why"), or job.resend(update)
        job.finish()
        trainer.result(timeout=10)


def test_what_the_code_under_test_raises_is_raised(tmp_path):
    def broken(uri):
        raise KeyError("of the code under test")

    with FakeJob(tmp_path) as job:
        job.run(broken, job.uri)
        with pytest.raises(KeyError, match="of the code under test"):
            job.await_update(timeout=10)


def train(tensors):
    return {name: value + 1 for name, value in tensors.items()}


async def take_part(uri, job):
    async with tributary.aio.connect(uri, job=job, id="t-1") as client:
        async for round in client.rounds():
            tensors = await asyncio.to_thread(train, round.tensors)
            receipt = await client.send(round, tensors, samples=1200)
            assert receipt.counts


def test_asyncio(job, run):
    job.open_round({"w": np.zeros(3, np.float32)})
    trainer = run(lambda: asyncio.run(take_part(job.uri, job.name)))
    job.commit(job.await_update(timeout=10))
    job.finish()
    trainer.result(timeout=10)


def readme(model, train, tributary):
    with tributary.connect("mqtt://HOST:1883", job="demo", id="hospital-7", group="eu") as client:
        for round in client.rounds():
            model.load_state_dict(round.torch())
            samples, loss = train(model)
            receipt = round.send(model.state_dict(), samples=samples, metrics={"loss": loss})
            assert receipt.counts


def test_the_readme(job, connect, run, monkeypatch):
    """With another address, and a model that is a dictionary."""

    class Model(dict):
        load_state_dict = dict.update
        state_dict = dict.copy

    class Here:
        connect = staticmethod(lambda uri, **options: connect(options["id"]))

    monkeypatch.setattr(tributary.Round, "torch", lambda self: dict(self.tensors))
    job.open_round({"w": np.zeros(2, np.float32)})
    trainer = run(readme, Model(), lambda model: (7, 0.5), Here)
    update = job.await_update(10)
    assert (update.trainer, update.samples, update.metrics) == ("hospital-7", 7, {"loss": 0.5})
    job.commit(update)
    job.finish()
    trainer.result(timeout=10)


def careful(client, model, log):
    for round in client.rounds():
        try:
            round.check(model)  # finds a NaN or a missing tensor before anything is sent
            receipt = round.send(model, samples=1200)
        except tributary.ModelMismatch as e:
            log.error("not sent: %s", e)
        except tributary.Rejected as e:
            log.error("the job says %s: %s", e.reason, e.text)
        else:
            log.info("counted" if receipt.counts else "went on without it: %s", receipt.reason)


class Log(list):
    def error(self, text, *values):
        self.append(text % values)

    def info(self, text, *values):
        self.append(text.replace("%s", str(values[0])))


def test_the_errors_of_a_trainer(job, connect, run):
    log = Log()
    model = {"w": np.zeros(2, np.float32)}
    client = connect()
    trainer = run(careful, client, model, log)
    job.open_round(model)
    job.reject(job.await_update(10), "BAD_SAMPLES", "too many")
    job.open_round(model)
    job.reject(job.await_update(10), "LATE", "over")
    job.open_round(model)
    job.commit(job.await_update(10))
    job.open_round({"v": np.zeros(1)})
    while len(log) < 4 and not trainer.done():
        job._closed.wait(0.05)
    job.finish()
    trainer.result(timeout=10)
    assert log[:3] == ["the job says BAD_SAMPLES: too many", "went on without it: LATE", "counted"]
    assert "the model has no tensor 'w'" in log[3]


def print_rounds(uri, job):
    with tributary.follow(uri, job=job) as news:
        for said in news:
            if isinstance(said, tributary.Status) and said.state == "CLOSED":
                print(said.id.round, said.updates, said.metrics)


def test_following(job, run, capsys, monkeypatch):
    entered, follow = threading.Event(), tributary.follow

    def entering(*arguments, **named):
        news = follow(*arguments, **named)
        entered.set()
        return news

    monkeypatch.setattr(tributary, "follow", entering)
    following = run(lambda: print_rounds(job.uri, job.name))
    assert entered.wait(10)
    job.open_round({"w": np.zeros(3, np.float32)})
    job.finish()
    job.end()
    following.result(timeout=10)
    assert capsys.readouterr().out == "1 0 {}\n"


def test_every_option_of_the_commands_is_on_the_page(capsys):
    import re
    from pathlib import Path

    from tributary.__main__ import main

    page = (Path(__file__).parents[3] / "docs" / "python.md").read_text()
    for name in ("simulate", "log", "evaluate"):
        with pytest.raises(SystemExit):
            main([name, "--help"])
        for option in set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}:
            assert option in page, f"{name} {option}"


def test_every_option_of_connect_is_on_the_page():
    from pathlib import Path

    from tributary.connecting import ConnectOptions

    page = (Path(__file__).parents[3] / "docs" / "python.md").read_text()
    for option in [*ConnectOptions.__annotations__, "timeout"]:
        assert f"`{option}`" in page, option
    for error in ("Rejected", "ModelMismatch", "Unreachable", "NoAnswer", "JobEnded"):
        assert issubclass(getattr(tributary, error), tributary.TributaryError)
        assert f"`{error}`" in page


def test_every_option_of_the_flower_command_is_on_the_page(capsys):
    from pathlib import Path

    flower = pytest.importorskip("tributary.flower")
    with pytest.raises(SystemExit):
        flower.main(["--help"])
    said = capsys.readouterr().out
    page = (Path(__file__).parents[3] / "docs" / "python.md").read_text()
    for option in ("--node-config", "--run-config", "--config", "--evaluate-every", "--connect"):
        assert option in said
        assert option in page


def test_a_password_is_not_shown():
    from tributary.connection import Options

    assert "hush" not in repr(Options(user="me", password="hush", kafka={"sasl.password": "hush"}))


@pytest.mark.parametrize("name", ["rounds", "next_round", "events", "close", "interrupt"])
def test_what_is_public_says_what_it_does(name):
    assert getattr(tributary.Client, name).__doc__
