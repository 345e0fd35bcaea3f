# SPDX-License-Identifier: Apache-2.0
"""What a simulation is made of; ``test_simulation_job.py`` runs whole ones."""

import argparse
import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tributary
from tributary.errors import ArgumentError
from tributary.messages import numbers
from tributary.simulation import apps, command, job, partition, run, worker

EXAMPLES = Path(__file__).parents[1] / "examples"

PARTITIONS = st.one_of(
    st.just(partition.iid),
    st.floats(0.01, 100).map(partition.dirichlet),
    st.integers(1, 4).map(partition.shards),
)


@settings(deadline=None, max_examples=60)
@given(PARTITIONS, st.integers(1, 20), st.integers(0, 200), st.integers(1, 5), st.integers(0, 9))
def test_each_example_goes_to_one_client_and_each_client_has_one(
    kind, clients, more, classes, seed
):
    labels = np.random.default_rng(seed).integers(classes, size=clients + more)
    parts = partition.divide(kind, labels, clients, np.random.default_rng(seed))
    again = partition.divide(kind, labels, clients, np.random.default_rng(seed))
    assert len(parts) == clients
    assert all(len(part) for part in parts)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    dealt = np.concatenate(kind(labels, clients, np.random.default_rng(seed)))
    assert sorted(dealt) == list(range(len(labels)))


def test_a_small_alpha_gives_few_classes_and_a_large_one_all():
    labels = np.arange(10_000) % 10

    def classes(alpha):
        parts = partition.dirichlet(alpha)(labels, 10, np.random.default_rng(1))
        shares = [np.bincount(labels[p], minlength=10) / max(1, len(p)) for p in parts]
        return np.mean([(share > 0.05).sum() for share in shares])

    assert classes(0.05) < 3
    assert classes(100) > 9


def test_the_proportions_are_a_dirichlet_distribution():
    random = np.random.default_rng(1)
    drawn = np.array([partition._proportions(0.5, 4, random) for _ in range(20_000)])
    assert np.allclose(drawn.mean(axis=0), 1 / 4, atol=0.01)
    # Of one proportion: a (A - a) / (A² (A + 1)), with a = 0.5 and A = 2.
    assert np.allclose(drawn.var(axis=0), 0.5 * 1.5 / (4 * 3), atol=0.003)


def test_shards_have_few_classes():
    labels = np.arange(1000) % 10
    parts = partition.shards(2)(labels, 50, np.random.default_rng(1))
    assert max(len(np.unique(labels[part])) for part in parts) <= 2


@pytest.mark.parametrize(
    ("kind", "what"),
    [(partition.dirichlet, "alpha is 0"), (partition.shards, "shards is 0")],
)
def test_a_partition_that_cannot_be(kind, what):
    with pytest.raises(ArgumentError, match=what):
        kind(0)


def test_fewer_examples_than_clients():
    with pytest.raises(ArgumentError, match="3 examples for 5 clients"):
        partition.divide(partition.iid, [1, 2, 3], 5, np.random.default_rng(1))


def functions(**changed):
    return types.SimpleNamespace(
        **{
            "data": lambda directory: (([1, 2, 3], [0, 1, 0]), ([1], [0])),
            "model": lambda seed: {"w": np.zeros(2, np.float32)},
            "train": lambda tensors, data, config, seed: (tensors, {}),
            **changed,
        }
    )


def made(**changed):
    return apps.FunctionsApp(functions(**changed), None, 2, partition.iid, 1)


def test_functions_that_are_missing():
    with pytest.raises(ArgumentError, match="has no function 'train'; expected data"):
        made(train=None)


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (7, "data returns int"),
        ((np.zeros((3, 2)), np.zeros(3)), "of two, one is ndarray"),
        ((([1, 2], [1]), ([1], [1])), r"arrays of \[1, 2\] examples"),
    ],
)
def test_data_that_is_none(found, what):
    with pytest.raises(ArgumentError, match=what):
        made(data=lambda directory: found).prepare()


def test_what_train_returns_is_checked(tmp_path):
    app = made(train=lambda tensors, data, config, seed: tensors)
    app.prepare()
    tributary.save_model(
        tmp_path / "m.safetensors", {"a": np.zeros(1), "b": np.zeros(1), "c": np.zeros(1)}
    )
    model = worker.open_model(tmp_path / "m.safetensors", 1)
    with pytest.raises(TypeError, match=r"train returns dict, expected \(tensors, metrics\)"):
        app.participant(0).train(model, 1)


def test_functions_cannot_do_an_algorithm_with_tensor_sets():
    app = made()
    app.prepare()
    round = types.SimpleNamespace(tensors={}, config={}, sets={"control": None})
    with pytest.raises(tributary.TributaryError, match=r"tensor sets \(control\), which train"):
        app.participant(0).train(round, 1)


def test_what_evaluate_returns_is_checked():
    with pytest.raises(TypeError, match="float as metrics, expected numbers by name"):
        numbers("app.py", 0.5)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"clients": 0}, "clients is 0"),
        ({"rounds": 0}, "rounds is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"alpha": 1.0, "shards": 2}, "exclude each other"),
        ({"data": "/not/there"}, "expected a directory"),
        ({"app": "/not/there.py"}, "expected a Flower app's directory, or a file"),
        ({"run_config": {"lr": 1}}, "only a Flower app has a run config"),
        ({"csv_file": "/not/there/x.csv"}, "a directory that exists"),
        ({"home": "/not"}, "there is no such command"),
        ({"settings": {"rounds.count": 3}}, "'rounds.count' is not a setting for a simulation"),
        ({"settings": {"rounds": {"quorum": 1}}}, "'rounds' is not a setting"),
    ],
)
def test_arguments_that_are_wrong(arguments, what):
    given = {"app": functions(), "clients": 2, **arguments}
    with pytest.raises(ArgumentError, match=what):
        tributary.simulate(given.pop("app"), **given)


def test_a_flower_app_divides_its_data_itself():
    pytest.importorskip("flwr")
    app = Path(__file__).parent / "flower_app"
    with pytest.raises(ArgumentError, match="divides its data itself"):
        tributary.simulate(app, clients=2, alpha=1.0)


def test_the_first_model_of_a_flower_server(tmp_path):
    pytest.importorskip("flwr")
    started = run._app(
        Path(__file__).parent / "flower_app",
        clients=3,
        data=tmp_path,
        alpha=None,
        shards=None,
        seed=1,
        model=None,
        run_config={"local-epochs": 2},
        config={"lr": 0.25},
    )
    assert started.rounds == 3
    assert [a.shape for a in started.model] == [(64, 10), (10,)]
    client = started.app.participant(2).client
    assert client._context.run_config["local-epochs"] == 2
    assert client._context.node_config == {
        "partition-id": 2,
        "num-partitions": 3,
        "data-path": str(tmp_path),
    }
    # What the server says is under what the user says.
    assert client._config == {"lr": 0.25, "momentum": 0.0}


@pytest.mark.parametrize(
    ("server", "what"),
    [
        (lambda grid, context: None, "has sent no model to train"),
        (lambda grid, context: 1 / 0, "ZeroDivisionError: division by zero; name the model"),
    ],
)
def test_a_flower_server_that_says_nothing(server, what):
    pytest.importorskip("flwr")
    from tributary.simulation.flower_app import FirstMessage

    with pytest.raises(ArgumentError, match=what):
        FirstMessage(2).of(server, {})


def test_seeds():
    assert worker.seed_of(7, 1, 2) == worker.seed_of(7, 1, 2)
    others = {worker.seed_of(s, c, r) for s in range(5) for c in range(20) for r in range(5)}
    assert len(others) == 500
    worker.seed_all(3)
    first = np.random.random()
    worker.seed_all(3)
    assert np.random.random() == first


def round_of(number, **evaluation):
    return run.SimulatedRound(number, 2, 30, {"loss": 0.5}, evaluation, 1_500_000, 0.25)


def test_the_table_and_the_lines(tmp_path):
    file = tmp_path / "rounds.csv"
    seen = []
    with run._Report(2, file, seen.append, False) as report:
        report.add(run.SimulatedRound(0, 0, 0, {}, {"accuracy": 0.1}, 0, 0.0))
        report.add(round_of(1, accuracy=0.9, f1=0.25))
    assert file.read_text().splitlines() == [
        "round,updates,samples,bytes,seconds,accuracy,f1,train_loss",
        "0,0,0,0,0.000000,0.1,,",
        "1,2,30,1500000,0.250000,0.9,0.25,0.5",
    ]
    assert str(run.SimulatedRound(0, 0, 0, {}, {}, 0, 0.0)) == "round 0: not evaluated"
    assert [str(round) for round in seen] == [
        "round 0: accuracy 0.1",
        "round 1: accuracy 0.9, f1 0.25, train loss 0.5, 2 updates, 1.5 MB, 0.25 s",
    ]


def test_settings_of_the_command_line():
    assert command.setting("algorithm=fedadam") == ("algorithm", "fedadam")
    assert command.setting('algorithm-parameters={"a": 0.1}') == (
        "algorithm-parameters",
        {"a": 0.1},
    )
    with pytest.raises(ArgumentError, match="expected KEY=VALUE"):
        command.setting("algorithm")


def test_the_command_has_an_option_for_each_argument():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = vars(parser.parse_args(["--clients", "3", "--app", "x"]))
    assert given["clients"] == 3
    # These are for programs.
    missing = {"settings", "csv_file", "on_round", "progress", "home"}
    names = set(tributary.simulate.__kwdefaults__) | {"clients"}
    assert names - missing <= set(given)


def test_the_launcher_is_the_checkouts(monkeypatch):
    monkeypatch.delenv("TRIBUTARY_HOME", raising=False)
    assert job.launcher() == Path(__file__).parents[3] / "tributary"


def test_the_example_learns():
    spec = importlib.util.spec_from_file_location("digits", EXAMPLES / "digits.py")
    assert spec is not None
    example = apps.load_functions(EXAMPLES / "simulate_digits.py")
    train, test = example.data(None)
    tensors = example.model(1)
    for seed in range(5):
        tensors, _ = example.train(tensors, train, {}, seed)
    assert example.evaluate(tensors, test)["accuracy"] > 0.8
    judging = apps.load_functions(EXAMPLES / "judging.py")
    assert judging.judge(types.SimpleNamespace(tensors=example.model(1)))[1] == ""
    for seed in range(20):
        tensors, _ = example.train(tensors, train, {}, seed)
    assert judging.judge(types.SimpleNamespace(tensors=tensors))[1] == "accurate enough"
