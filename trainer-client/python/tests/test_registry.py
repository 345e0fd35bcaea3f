# SPDX-License-Identifier: Apache-2.0

import hashlib
import json

import pytest

from tributary import registry
from tributary.__main__ import main


class Models:
    """A job's model.directory."""

    def __init__(self, directory):
        self.directory = directory
        (directory / "versions").mkdir(parents=True)

    def add(self, number, evaluation=None, **more):
        data = f"model {number}".encode()
        (self.directory / "versions" / f"{number}.0.safetensors").write_bytes(data)
        ledger = {
            "job": "digits",
            "round": number,
            "epoch": 0,
            "modelEpoch": 0,
            "rejected": "",
            "base": f"{number - 1}.0",
            "trainers": 3,
            "metrics": {"loss": {"count": 2, "mean": 0.5, "sum": 1.0, "min": 0.25, "max": 0.75}},
            "updates": [
                {"trainer": "a", "samples": 5, "crc32c": "00000001"},
                {"trainer": "b", "samples": 7, "crc32c": "00000002"},
            ],
            **more,
        }
        if evaluation is not None:
            ledger["evaluation"] = {"round": number, "epoch": 0, "metrics": evaluation, "stop": ""}
        (self.directory / f"model-{number}.json").write_text(json.dumps(ledger))
        return hashlib.sha256(data).hexdigest()


@pytest.fixture
def models(tmp_path):
    return Models(tmp_path / "models")


def lines(directory):
    return [json.loads(line) for line in (directory / registry.INDEX).read_text().splitlines()]


def test_an_index_has_each_model_once(models, tmp_path, capsys):
    sha256 = models.add(1)
    index = tmp_path / "index"
    arguments = ["register", str(models.directory), "--index", str(index)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "digits 1.0: 2 updates, loss 0.5\n"
    assert lines(index) == [
        {
            "job": "digits",
            "version": "1.0",
            "parent": "0.0",
            "round": 1,
            "model": str(models.directory / "versions" / "1.0.safetensors"),
            "bytes": 7,
            "sha256": sha256,
            "ledger": str(models.directory / "model-1.json"),
            "updates": 2,
            "samples": 12,
            "trainers": 3,
            "metrics": {"loss": 0.5},
            "evaluation": {},
            "rejected": "",
        }
    ]
    models.add(2)
    assert main(arguments) == 0
    assert [line["version"] for line in lines(index)] == ["1.0", "2.0"]
    # The evaluator was slower.
    models.add(1, {"accuracy": 0.75})
    assert main(arguments) == 0
    assert [line["evaluation"] for line in lines(index)] == [{}, {}, {"accuracy": 0.75}]
    assert main(arguments) == 0
    assert len(lines(index)) == 3


def test_who_watches_sees_what_comes(models, tmp_path):
    index = registry.DirectoryIndex(tmp_path)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        models.add(len(pauses), rejected="not finite" if len(pauses) == 2 else "")

    looking = registry.register(models.directory, [lambda job: index], 5.0, pause)
    found = [(entry.version, entry.rejected) for entry in (next(looking), next(looking))]
    with pytest.raises(KeyboardInterrupt):
        next(looking)
    assert found == [("1.0", ""), ("2.0", "not finite")]
    assert pauses == [5.0, 5.0, 5.0]


def test_a_model_of_an_earlier_version_of_tributary(models, tmp_path):
    models.add(1)
    file = models.directory / "model-1.json"
    ledger = json.loads(file.read_text())
    for name in ("base", "trainers", "metrics"):
        del ledger[name]
    file.write_text(json.dumps(ledger))
    (entry,) = registry.register(models.directory, [lambda job: registry.DirectoryIndex(tmp_path)])
    assert (entry.parent, entry.trainers, entry.metrics) == ("", 0, {})


def test_mlflow_has_a_version_for_each_model(models, tmp_path):
    pytest.importorskip("mlflow")
    models.add(1)
    models.add(2)
    store = tmp_path / "mlruns"
    arguments = ["register", str(models.directory), "--mlflow", str(store)]
    assert main(arguments) == 0
    models.add(2, {"accuracy": 0.75})
    assert main(arguments) == 0
    from mlflow import MlflowClient

    uri = store.as_uri()
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = sorted(client.search_model_versions("name = 'digits'"), key=lambda v: int(v.version))
    assert [v.tags["version"] for v in found] == ["1.0", "2.0"]
    assert found[1].tags["parent"] == "1.0"
    assert found[1].tags["metric.loss"] == "0.5"
    assert found[1].tags["evaluation.accuracy"] == "0.75"
    names = [a.path for a in client.list_artifacts(found[1].run_id, "2.0")]
    assert sorted(names) == ["2.0/2.0.safetensors", "2.0/model-2.json"]


def test_mlflow_has_any_name_of_a_metric_and_many_versions(models, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    whole = MlflowClient.search_model_versions
    monkeypatch.setattr(
        MlflowClient,
        "search_model_versions",
        lambda self, name, page_token=None: whole(self, name, 1, page_token=page_token),
    )
    for number in (1, 2, 3):
        models.add(number, {"a//b": 1.0}, metrics={"hit@10": {"mean": 0.5}})
    store = tmp_path / "mlruns"
    arguments = ["register", str(models.directory), "--mlflow", str(store)]
    assert main(arguments) == 0
    assert main(arguments) == 0
    client = MlflowClient(tracking_uri=store.as_uri(), registry_uri=store.as_uri())
    found = whole(client, "name = 'digits'")
    assert sorted(v.tags["version"] for v in found) == ["1.0", "2.0", "3.0"]
    assert found[0].tags["metric.hit_10"] == "0.5"
    assert found[0].tags["evaluation.a/_/b"] == "1.0"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--index", "DIR/index"], "expected a job's model.directory"),
        ([], "expected --index DIR, --mlflow PLACE, or both"),
        (["--index", "DIR/index", "--watch", "0"], "--watch 0.0: expected seconds, more than 0"),
    ],
)
def test_a_wrong_use_is_named(arguments, expected, tmp_path, capsys):
    arguments = [a.replace("DIR", str(tmp_path)) for a in arguments]
    with pytest.raises(SystemExit) as failure:
        main(["register", str(tmp_path / "models"), *arguments])
    assert failure.value.code == 2
    assert expected in capsys.readouterr().err


def test_what_a_registry_rejects_is_one_line(models, tmp_path, capsys, monkeypatch):
    models.add(1)

    def add(self, entry):
        raise OSError("the disk\nis full")

    def close(self):
        raise RuntimeError("the server is away")

    monkeypatch.setattr(registry.DirectoryIndex, "add", add)
    # Whoever cannot be closed either does not hide it.
    monkeypatch.setattr(registry.DirectoryIndex, "close", close)
    assert main(["register", str(models.directory), "--index", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "digits 1.0 is not registered: OSError: the disk is full; start again" in said
    (models.directory / "versions" / "1.0.safetensors").unlink()
    (models.directory / "versions" / "1.0.safetensors").mkdir()
    assert main(["register", str(models.directory), "--index", str(tmp_path)]) == 1
    assert "1.0.safetensors cannot be read: Is a directory" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(["register", str(models.directory), "--index", str(tmp_path / "file")])
    assert "--index" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["{", "[]", '{"job": "digits"}'])
def test_a_file_that_is_no_ledger_is_named(broken, models, tmp_path, capsys):
    (models.directory / "model-1.json").write_text(broken)
    assert main(["register", str(models.directory), "--index", str(tmp_path)]) == 1
    assert "model-1.json: expected a ledger of a job" in capsys.readouterr().err


def test_what_somebody_removed_is_left_out(models, tmp_path, caplog):
    for number in (1, 2, 3):
        models.add(number)
    (models.directory / "model-1.json").unlink()
    (models.directory / "versions" / "2.0.safetensors").unlink()
    arguments = ["register", str(models.directory), "--index", str(tmp_path)]
    assert main(arguments) == 0
    assert [line["version"] for line in lines(tmp_path)] == ["3.0"]
    assert "2.0.safetensors is not there, and is left out" in caplog.text
    # What is registered needs no file any more.
    caplog.clear()
    (models.directory / "versions" / "3.0.safetensors").unlink()
    assert main(arguments) == 0
    assert "3.0" not in caplog.text


def test_a_line_that_was_cut_short_is_written_again(models, tmp_path):
    models.add(1)
    models.add(2)
    arguments = ["register", str(models.directory), "--index", str(tmp_path)]
    assert main(arguments) == 0
    index = tmp_path / registry.INDEX
    index.write_bytes(index.read_bytes()[:-20])
    assert main(arguments) == 0
    assert [line["version"] for line in lines(tmp_path)] == ["1.0", "2.0"]


def test_an_index_of_something_else_is_named(models, tmp_path, capsys):
    models.add(1)
    (tmp_path / registry.INDEX).write_text("{}\n")
    assert main(["register", str(models.directory), "--index", str(tmp_path)]) == 1
    assert "expected an entry on each line" in capsys.readouterr().err
