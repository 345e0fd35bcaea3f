# SPDX-License-Identifier: Apache-2.0
"""What a plan may expect of an update: tensor sets, metrics, some of the tensors."""

import numpy as np
import pytest

import tributary
from tributary.messages import Expected
from tributary.tensors import SETS, Layout

WAIT = 10


@pytest.fixture
def control():
    return {
        "fc.weight": np.full((2, 3), 0.25, np.float32),
        "fc.bias": np.array([1.0, 2.0], np.float32),
    }


def next_round(client):
    return next(client.rounds(timeout=WAIT))


def test_a_set_is_read_and_sent_beside_the_model(job, model, control, connect, run):
    job.open_round(model, sets={"control": control})
    round = next_round(connect())
    assert round.names == list(model)
    assert list(round.tensors) == list(model)
    assert len(round.arrays()) == 3
    assert list(round.sets) == ["control"]
    assert round.expects.sets == ["control"]
    assert round.sets["control"].names == ["fc.weight", "fc.bias"]
    bias = round.sets["control"].tensors["fc.bias"]
    with pytest.raises(ValueError, match="read-only"):
        bias[0] = 3
    sets = {"control": [2 * a for a in round.sets["control"].arrays()]}
    round.check(round.tensors, sets=sets)
    sent = run(round.send, round.tensors, samples=3, sets=sets)
    update = job.await_update(WAIT)
    assert update.tensors["control/fc.bias"].tolist() == [2, 4]
    assert update.tensors["fc.bias"].tolist() == [0.5, -0.5]
    job.commit(update)
    assert sent.result(WAIT).counts


def test_a_set_is_a_difference_where_the_model_is(tmp_path, model, control, run):
    from tributary.testing import FakeJob

    with FakeJob(tmp_path / "delta", kind="DELTA") as job:
        job.open_round(model, sets={"control": control})
        with tributary.connect(job.uri, job=job.name, id="t-1", timeout=WAIT) as client:
            round = next_round(client)
            run(
                round.send,
                model,
                samples=1,
                sets={"control": {n: 3 * c for n, c in control.items()}},
            )
            update = job.await_update(WAIT)
    assert update.tensors["control/fc.bias"].tolist() == [2, 4]
    assert not update.tensors["fc.weight"].any()


def test_a_set_is_written_in_place(job, model, control, connect, run):
    job.open_round(model, sets={"control": control})
    round = next_round(connect())
    update = round.update()
    assert list(update) == [*model, "control/fc.weight", "control/fc.bias"]
    for name in update:
        update[name][...] = 4
    run(update.send, samples=1)
    assert job.await_update(WAIT).tensors["control/fc.bias"].tolist() == [4, 4]


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (None, r"tensor 'fc\.weight' of set 'control' is missing; give it with sets="),
        ({"contrl": {}}, r"the model has no set 'contrl', it has \['control'\]"),
        ({"control": [np.zeros(1)]}, "1 tensors, set 'control' has 2: fc.weight, fc.bias"),
        (
            {"control": {"fc.weight": np.zeros((2, 3)), "fc.bias": np.zeros(3)}},
            r"tensor 'control/fc\.bias' has shape \[3\], the model has \[2\]",
        ),
    ],
)
def test_a_set_that_does_not_fit_is_named(job, model, control, connect, sets, expected):
    job.open_round(model, sets={"control": control})
    round = next_round(connect())
    with pytest.raises(tributary.ModelMismatch, match=expected):
        round.send(model, samples=1, sets=sets)


def test_metrics_that_the_algorithm_computes_with(job, model, connect, run):
    job.open_round(model, metrics=["steps", "squared-norm"])
    round = next_round(connect())
    with pytest.raises(ValueError, match=r"metrics \['steps'\] are missing; .* metrics={'steps'"):
        round.send(model, samples=1)
    with pytest.raises(ValueError, match="metric 'steps' is nan; the job's algorithm computes"):
        round.send(model, samples=1, metrics={"steps": float("nan")})
    moved = {n: v + v.dtype.type(2) for n, v in model.items()}
    run(round.send, moved, samples=1, metrics={"steps": 5})
    update = job.await_update(WAIT)
    # Eight floating elements, each 2 away; integers do not count.
    assert update.metrics == {"steps": 5, "squared-norm": 32}


def test_a_metric_that_is_not_finite_is_left_out_and_that_is_said(job, model, connect, run, caplog):
    job.open_round(model)
    round = next_round(connect())
    run(round.send, model, samples=1, metrics={"loss": float("nan"), "accuracy": 0.5})
    assert job.await_update(WAIT).metrics == {"accuracy": 0.5}
    assert "round 1.0: metrics ['loss'] are left out: they are not finite" in caplog.text


def test_the_norm_of_a_difference_is_its_own(tmp_path, model, run):
    from tributary.testing import FakeJob

    with FakeJob(tmp_path / "delta", kind="DELTA") as job:
        job.open_round(model, metrics=["squared-norm"])
        with tributary.connect(job.uri, job=job.name, id="t-1", timeout=WAIT) as client:
            moved = {n: v + v.dtype.type(2) for n, v in model.items()}
            run(next_round(client).send, moved, samples=1)
            assert job.await_update(WAIT).metrics == {"squared-norm": 32}


def test_a_partial_update_has_some_tensors(job, model, connect, run):
    job.open_round(model, partial=True)
    round = next_round(connect())
    with pytest.raises(tributary.ModelMismatch, match="none of the model's tensors is among"):
        round.send({}, samples=1)
    with pytest.raises(tributary.ModelMismatch, match=r"no tensor 'fc\.biass'"):
        round.send({"fc.bias": model["fc.bias"], "fc.biass": model["fc.bias"]}, samples=1)
    sent = run(round.send, {"fc.bias": model["fc.bias"] + 1}, samples=1)
    update = job.await_update(WAIT)
    assert list(update.tensors) == ["fc.bias"]
    assert update.tensors["fc.bias"].tolist() == [1.5, 0.5]
    job.commit(update)
    assert sent.result(WAIT).counts


def test_a_partial_update_has_its_tensors_in_all_sets(job, model, control, connect, run):
    job.open_round(model, sets={"control": control}, partial=True)
    round = next_round(connect())
    bias = {"fc.bias": model["fc.bias"]}
    expected = r"tensor 'control/fc\.bias' is missing; it goes with 'fc\.bias'"
    with pytest.raises(tributary.ModelMismatch, match=expected):
        round.send(bias, samples=1)
    with pytest.raises(tributary.ModelMismatch, match=r"'control/fc\.weight' is missing"):
        round.update(["fc.weight"])
    with pytest.raises(tributary.ModelMismatch, match=r"'fc\.weight' is missing"):
        round.send(bias, sets={"control": control}, samples=1)
    run(round.send, bias, sets={"control": {"fc.bias": control["fc.bias"]}}, samples=1)
    assert sorted(job.await_update(WAIT).tensors) == ["control/fc.bias", "fc.bias"]


def test_a_partial_update_is_written_in_place(job, model, connect, run):
    job.open_round(model, partial=True)
    update = next_round(connect()).update(["fc.weight"])
    assert list(update) == ["fc.weight"]
    update["fc.weight"][...] = 3
    run(update.send, samples=1)
    assert job.await_update(WAIT).tensors["fc.weight"].tolist() == [[3, 3, 3]] * 2


@pytest.mark.parametrize(
    ("partial", "names", "expected"),
    [
        (True, ["fc.biass"], r"an update has no tensor 'fc\.biass'"),
        (True, ["steps"], "an update has no tensor 'steps'"),
        (True, [], r"none of the model's tensors is among \[\]"),
        (True, "fc.bias", "expected a list of names"),
        (False, ["fc.bias"], r"takes no partial updates \(model\.partial-updates\)"),
    ],
)
def test_names_that_cannot_be_begun_with(job, model, connect, partial, names, expected):
    job.open_round(model, partial=partial, personal=["steps"])
    round = next_round(connect())
    with pytest.raises((tributary.ModelMismatch, TypeError), match=expected):
        round.update(names)


def test_without_it_no_tensor_may_be_missing(job, model, connect):
    job.open_round(model)
    round = next_round(connect())
    with pytest.raises(tributary.ModelMismatch, match=r"tensor 'fc\.weight' is missing"):
        round.send({"fc.bias": model["fc.bias"]}, samples=1)


def test_personal_tensors_stay_and_are_there_again(job, model, connect, run, tmp_path):
    client = connect(state_dir=tmp_path / "state")
    for number in (1, 2, 3):
        job.open_round(model, personal=["fc.b*"])
        if number == 3:
            # The trainer was started again.
            client.close()
            client = connect(state_dir=tmp_path / "state")
        round = next_round(client)
        own = 0.5 if number == 1 else float(number - 1)
        assert round.tensors["fc.bias"][0] == own
        tensors = {**round.tensors, "fc.bias": np.full(2, number, np.float32)}
        round.check(tensors)
        sent = run(round.send, tensors, samples=1)
        update = job.await_update(WAIT)
        assert sorted(update.tensors) == ["fc.weight", "steps"]
        job.commit(update)
        assert sent.result(WAIT).counts


def test_of_a_difference_what_it_makes_is_kept(job, model, connect, run):
    client = connect()
    for number, own in ((1, 0.5), (2, 1.5), (3, 2.5)):
        job.open_round(model, personal=["fc.bias"])
        round = next_round(client)
        assert round.tensors["fc.bias"][0] == own, number
        ones = {n: np.ones_like(v) for n, v in model.items()}
        sent = run(round.send, ones, samples=1, delta=True)
        job.commit(job.await_update(WAIT))
        sent.result(WAIT)


def test_what_is_not_sent_is_not_kept(job, model, connect, run):
    client = connect()
    job.open_round(model, personal=["fc.bias"], metrics=["steps"])
    round = next_round(client)
    ones = {n: np.ones_like(v) for n, v in model.items()}
    with pytest.raises(ValueError, match="metrics \\['steps'\\] are missing"):
        round.send(ones, samples=1, delta=True)
    with pytest.raises(ValueError, match="samples is 0"):
        round.send(ones, samples=0, delta=True, metrics={"steps": 1})
    sent = run(round.send, ones, samples=1, delta=True, metrics={"steps": 1})
    job.commit(job.await_update(WAIT))
    sent.result(WAIT)
    job.open_round(model, personal=["fc.bias"])
    assert next_round(client).tensors["fc.bias"][0] == 1.5


def test_each_trainer_of_a_process_has_its_own(job, model, connect, run):
    pytest.importorskip("flwr.app")
    from tributary import flower

    clients = [connect(id=id) for id in ("t-1", "t-2")]
    job.open_round(model, personal=["fc.bias"])
    for own, client in enumerate(clients):
        tensors = {**model, "fc.bias": np.full(2, own, np.float32)}
        sent = run(next_round(client).send, tensors, samples=1)
        job.commit(job.await_update(WAIT))
        sent.result(WAIT)
    job.open_round(model, personal=["fc.bias"])
    for own, client in enumerate(clients):
        assert flower._arrays(next_round(client))["fc.bias"].numpy().tolist() == [own, own]


def test_what_is_not_personal_any_more_or_of_another_shape_is_the_jobs(job, model, connect, run):
    client = connect()
    job.open_round(model, personal=["fc.bias"])
    sent = run(next_round(client).send, model | {"fc.bias": np.full(2, 7.0)}, samples=1)
    job.commit(job.await_update(WAIT))
    sent.result(WAIT)
    job.open_round(model)
    assert next_round(client).tensors["fc.bias"][0] == 0.5
    job.open_round({**model, "fc.bias": np.zeros(3, np.float32)}, personal=["fc.bias"])
    round = next_round(client)
    assert round.tensors["fc.bias"].tolist() == [0, 0, 0]
    sent = run(round.send, {**round.tensors, "fc.bias": np.full(3, 8.0)}, samples=1)
    job.commit(job.await_update(WAIT))
    sent.result(WAIT)


def test_a_metric_that_is_needed_is_kept_beside_many_others(job, model, connect, run):
    job.open_round(model, metrics=["steps"])
    many = {f"a{number:02}": 1.0 for number in range(40)}
    run(next_round(connect()).send, model, samples=1, metrics={**many, "steps": 3})
    found = job.await_update(WAIT).metrics
    assert (len(found), found["steps"]) == (32, 3)


def test_a_personal_tensor_need_not_be_given(job, model, connect, run):
    job.open_round(model, personal=["fc.bias"])
    client = connect()
    round = next_round(client)
    assert list(round.update()) == ["fc.weight", "steps"]
    run(round.send, {n: model[n] for n in ("fc.weight", "steps")}, samples=1)
    assert len(job.await_update(WAIT).tensors) == 2


def test_a_damaged_file_of_personal_tensors_is_named(job, connect, tmp_path):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "t-1.personal").write_bytes(b"nonsense of a few bytes")
    with pytest.raises(tributary.Malformed, match=r"t-1\.personal.*remove the file"):
        connect(state_dir=tmp_path)


@pytest.mark.parametrize(
    ("pattern", "name", "personal"),
    [
        ("head.*", "head.bias", True),
        ("head.*", "heads.bias", False),
        ("*.bias", "a.b.bias", True),
        ("a.c", "abc", False),
        ("*", "anything", True),
    ],
)
def test_patterns_are_those_of_the_job(pattern, name, personal):
    assert Expected(personal=[pattern]).is_personal(name) is personal


def test_sets_and_personal_tensors_are_torch_tensors_too(job, model, control, connect, run):
    pytest.importorskip("torch")
    client = connect()
    job.open_round(model, sets={"control": control}, personal=["fc.bias"])
    round = next_round(client)
    assert list(round.torch()) == list(model)
    assert round.sets["control"].torch()["fc.weight"].tolist() == [[0.25] * 3] * 2
    tensors = {**round.torch(), "fc.bias": round.torch()["fc.bias"] + 1}
    sent = run(round.send, tensors, samples=1, sets={"control": round.sets["control"].torch()})
    update = job.await_update(WAIT)
    assert sorted(update.tensors) == ["control/fc.weight", "fc.weight", "steps"]
    job.commit(update)
    sent.result(WAIT)
    job.open_round(model, sets={"control": control}, personal=["fc.bias"])
    assert next_round(client).torch()["fc.bias"].tolist() == [1.5, 0.5]


def test_metadata_of_somebody_else_say_nothing():
    for text in ("[", "3", "{}"):
        header = f'{{"__metadata__":{{"{SETS}":"{text}"}}}}'.encode()
        assert Layout.parse(len(header).to_bytes(8, "little") + header, "model").sets == []


def test_a_flower_app_has_sets_as_records_of_their_name(job, model, control, run):
    flwr = pytest.importorskip("flwr.app")
    from flwr.clientapp import ClientApp

    from tributary import flower

    app = ClientApp()

    @app.train()
    def train(message, context):
        content = message.content
        control = {n: 2 * a.numpy() for n, a in content["control"].items()}
        return flwr.Message(
            content=flwr.RecordDict(
                {
                    "arrays": content["arrays"],
                    "control": flwr.ArrayRecord({n: flwr.Array(a) for n, a in control.items()}),
                    "metrics": flwr.MetricRecord({"num-examples": 4, "steps": 9}),
                }
            ),
            reply_to=message,
        )

    job.open_round(model, sets={"control": control}, metrics=["steps"])
    trainer = run(
        flower.run, app, job.uri, job=job.name, id="t-1", timeout=WAIT, receipt_timeout=5.0
    )
    update = job.await_update(WAIT)
    assert update.metrics == {"steps": 9}
    assert update.tensors["control/fc.bias"].tolist() == [2, 4]
    job.commit(update)
    job.finish()
    trainer.result(WAIT)
