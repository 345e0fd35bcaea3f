# SPDX-License-Identifier: Apache-2.0
"""A trainer against a fake job, over shared memory."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import tributary
from tributary.shm import process
from tributary.testing import FakeJob

WAIT = 10
VECTORS = Path(__file__).parents[3] / "protocol" / "vectors"


def plus_one(tensors):
    return {name: value + value.dtype.type(1) for name, value in tensors.items()}


def train(client, sent=None):
    for round in client.rounds(timeout=WAIT):
        receipt = round.send(plus_one(round.tensors), samples=7, metrics={"loss": 0.5})
        if sent is not None:
            sent.append(receipt)


def test_rounds_end_when_the_job_is_done(job, model, connect, run):
    receipts = []
    trainer = run(lambda: train(connect(), receipts))
    for _ in range(3):
        job.open_round(model)
        update = job.await_update(WAIT)
        assert (update.trainer, update.samples, update.metrics) == ("t-1", 7, {"loss": 0.5})
        for name, value in plus_one(model).items():
            np.testing.assert_array_equal(update.tensors[name], value)
        job.commit(update)
        model = dict(update.tensors)
    job.finish()
    trainer.result(WAIT)
    assert [r.id.round for r in receipts] == [1, 2, 3]
    assert all(r.counts for r in receipts)


def test_an_update_is_written_where_it_is_folded(job, model, connect, run):
    job.open_round(model)
    client = connect()
    round = next(client.rounds(timeout=WAIT))
    update = round.update()
    assert list(update) == round.names
    for name in update:
        update[name][...] = 2
    sent = run(update.send, samples=1)
    received = job.await_update(WAIT)
    assert received.file.exists()
    assert received.tensors["fc.bias"].tolist() == [2, 2]
    with pytest.raises(ValueError, match="read-only"):
        update["fc.bias"][0] = 3
    job.commit(received)
    assert sent.result(WAIT).counts
    # The same memory once more.
    job.open_round(model)
    round = next(client.rounds(timeout=WAIT))
    sent = run(round.send, model, samples=1)
    again = job.await_update(WAIT)
    assert (again.file, again.generation) == (received.file, received.generation + 1)
    job.commit(again)
    sent.result(WAIT)


def test_what_was_never_written_is_not_sent(job, model, connect):
    job.open_round(model)
    round = next(connect().rounds(timeout=WAIT))
    update = round.update()
    update["steps"][...] = 1
    with pytest.raises(tributary.ModelMismatch, match=r"fc\.bias.*have not been written"):
        update.send(samples=1)


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("kind", ["WEIGHTS", "DELTA"])
def test_the_job_gets_what_it_asks_for(tmp_path, model, run, kind, delta):
    with FakeJob(tmp_path, kind) as job:
        job.open_round(model)
        with tributary.connect(job.uri, job=job.name, id="t", timeout=WAIT) as client:
            round = next(client.rounds(timeout=WAIT))
            trained = {name: value + value.dtype.type(2) for name, value in model.items()}
            moved = {name: np.full_like(value, 2) for name, value in model.items()}
            sent = run(round.send, moved if delta else trained, samples=1, delta=delta)
            received = job.await_update(WAIT)
            assert received.kind == kind
            expected = moved if kind == "DELTA" else trained
            for name, value in expected.items():
                np.testing.assert_array_equal(received.tensors[name], value)
            job.commit(received)
            sent.result(WAIT)


def test_a_model_is_read_only_and_stays(job, model, connect, run):
    job.open_round(model)
    client = connect()
    rounds = client.rounds(timeout=WAIT)
    first = next(rounds)
    kept = first.tensors["fc.weight"]
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 1
    job.open_round({name: value * 0 for name, value in model.items()})
    second = next(rounds)
    assert second.number == 2
    assert not second.tensors["fc.weight"].any()
    np.testing.assert_array_equal(kept, model["fc.weight"])


@pytest.mark.parametrize("reason", ["WRONG_SHAPE", "BAD_SAMPLES"])
def test_a_rejection_raises_and_the_next_round_comes(job, model, connect, run, reason):
    job.open_round(model)
    client = connect()
    rounds = client.rounds(timeout=WAIT)
    sent = run(next(rounds).send, model, samples=1)
    job.reject(job.await_update(WAIT), reason, "look at it")
    with pytest.raises(tributary.Rejected, match=f"{reason}: look at it") as failure:
        sent.result(WAIT)
    assert failure.value.reason == reason
    job.open_round(model)
    assert next(rounds).number == 2


@pytest.mark.parametrize("reason", ["LATE", "STALE_EPOCH", "NOT_OPEN", "DIFFERENT_BYTES"])
def test_a_round_that_is_over_is_no_error(job, model, connect, run, reason):
    job.open_round(model)
    sent = run(next(connect().rounds(timeout=WAIT)).send, model, samples=1)
    job.reject(job.await_update(WAIT), reason, "")
    receipt = sent.result(WAIT)
    assert not receipt.counts
    assert receipt.reason == reason


def test_an_update_is_sent_again_when_the_job_asks(job, model, connect, run):
    job.open_round(model)
    sent = run(next(connect().rounds(timeout=WAIT)).send, model, samples=1)
    first = job.await_update(WAIT)
    job.resend(first)
    second = job.await_update(WAIT)
    assert second.generation == first.generation + 1
    assert second.attempt != first.attempt
    job.commit(second)
    assert sent.result(WAIT).counts


def test_a_nan_is_found_before_and_by_the_job(job, model, connect):
    job.open_round(model)
    round = next(connect().rounds(timeout=WAIT))
    round.check(model)
    bad = {**model, "fc.bias": np.array([0, np.nan], np.float32)}
    with pytest.raises(tributary.ModelMismatch, match=r"'fc.bias' has nan at \[1\]"):
        round.check(bad)
    with pytest.raises(tributary.Rejected, match="NOT_FINITE"):
        round.send(bad, samples=1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"fc.bias": None}, "tensor 'fc.bias' is missing"),
        ({"extra": np.zeros(1)}, "the model has no tensor 'extra'"),
        ({"fc.bias": np.zeros(3)}, r"'fc.bias' has shape \[3\], the model has \[2\]"),
        ({"steps": np.array(1.5)}, "'steps' has elements of float64, the model has int64"),
    ],
)
def test_tensors_that_do_not_fit_are_not_sent(job, model, connect, change, expected):
    job.open_round(model)
    round = next(connect().rounds(timeout=WAIT))
    tensors = {k: v for k, v in {**model, **change}.items() if v is not None}
    with pytest.raises(tributary.ModelMismatch, match=expected):
        round.send(tensors, samples=1)


@pytest.mark.parametrize("samples", [0, -1, 1.5, True])
def test_samples_are_a_number_of_samples(job, model, connect, samples):
    job.open_round(model)
    round = next(connect().rounds(timeout=WAIT))
    with pytest.raises(ValueError, match="expected an integer of 1 or more"):
        round.send(model, samples=samples)


def test_a_job_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(tributary.NoAnswer, match=r"job 'nowhere' .*receipts/t\.json.*right\?"):
        tributary.connect(f"shm:{tmp_path}?agent-port=1", job="nowhere", id="t", timeout=0.5)


def test_a_round_that_does_not_come_is_told(job, connect):
    with pytest.raises(tributary.NoAnswer, match="no new round within"):
        next(connect().rounds(timeout=0.3))


def test_two_clients_with_one_id(job, connect):
    connect("same")
    with pytest.raises(tributary.Rejected, match="DUPLICATE_TRAINER: trainer same takes part"):
        connect("same")
    assert job.trainers == ["same"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"job": "a/b"}, "job 'a/b': expected letters"),
        ({"id": ""}, "trainer '': expected letters"),
        ({"group": "eu//x"}, "group 'eu//x': expected names"),
        ({"user": "me"}, "takes no user"),
        ({"uri": "http://h:1"}, "begins with one of mqtt, mqtts, ws, wss, kafka, shm"),
        ({"uri": "mqtt://h"}, "expected HOST:PORT"),
        ({"uri": "mqtt:h"}, "expected mqtt://HOST:PORT"),
        ({"uri": "shm:x"}, "expected shm:"),
        ({"uri": "kafka://h"}, "expected HOST:PORT"),
        ({"uri": "mqtt://h:1", "ca_file": "x"}, "takes no ca_file"),
        ({"uri": "mqtts://h:1", "certificate": "x"}, "give both or neither"),
        ({"uri": "kafka://h:1", "kafka": {"acks": "1"}}, "'acks' is not to be chosen"),
    ],
)
def test_what_is_asked_for_is_checked(job, options, expected):
    options = {"uri": job.uri, "job": job.name, "id": "t", **options}
    with pytest.raises(ValueError, match=expected):
        tributary.connect(options.pop("uri"), **options)


def test_a_job_that_ends_without_an_answer(job, model, connect, run):
    job.open_round(model)
    sent = run(next(connect().rounds(timeout=WAIT)).send, model, samples=1)
    job.await_update(WAIT)
    job.end()
    with pytest.raises(tributary.JobEnded, match="its ledgers say whether it counts"):
        sent.result(20)


def test_nobody_else_ends_a_job(job, model, connect, caplog):
    job.open_round(model)
    client = connect()
    next(client.rounds(timeout=WAIT))
    file = job._directory / "round.json"
    plan = json.loads(file.read_text())
    plan.update(state="ENDED", end="a guess")
    file.write_text(json.dumps(plan))
    with pytest.raises(tributary.NoAnswer):
        client.next_round(timeout=1)
    assert "not believed" in caplog.text


def test_a_plan_of_a_newer_version_is_named(job, model, connect):
    job.open_round(model)
    client = connect()
    next(client.rounds(timeout=WAIT))
    file = job._directory / "round.json"
    plan = json.loads(file.read_text())
    file.write_text(json.dumps({**plan, "must": ["masks"], "round": 2}))
    with pytest.raises(tributary.NoAnswer, match=r"cannot be read: .*masks.*newer version"):
        client.next_round(timeout=1)


def test_events_show_what_the_job_says(job, model, connect, run):
    client = connect()
    events = client.events()
    job.open_round(model)
    sent = run(next(client.rounds(timeout=WAIT)).send, model, samples=1)
    job.commit(job.await_update(WAIT))
    sent.result(WAIT)
    letters = job._directory / "dead-letters.jsonl"
    letter = {"source": "s", "round": 1, "epoch": 0, "reason": "LATE", "text": "x"}
    with open(letters, "a") as out:
        for trainer in ("another", "t-1"):
            out.write(json.dumps({**letter, "trainer": trainer}) + "\n")
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, tributary.DeadLetter):
            break
    assert {type(e) for e in seen} == {tributary.Plan, tributary.Receipt, tributary.DeadLetter}
    assert seen[-1].trainer == "t-1"
    rest = run(list, events)
    client.close()
    rest.result(WAIT)


def test_progress_is_shown(job, model, connect, run, capsys):
    client = connect()
    job.open_round(model)

    def train():
        for round in client.rounds(timeout=WAIT, progress=True):
            round.send(model, samples=1)

    trainer = run(train)
    job.commit(job.await_update(WAIT))
    job.finish()
    trainer.result(WAIT)
    assert "COMMITTED" in capsys.readouterr().err


def test_a_closed_client_says_so(job, model, connect):
    job.open_round(model)
    client = connect()
    round = next(client.rounds(timeout=WAIT))
    client.close()
    client.close()
    assert job.trainers == []
    with pytest.raises(tributary.TributaryError, match="closed"):
        round.send(model, samples=1)


def test_a_wait_can_be_interrupted(job, connect, run):
    client = connect()
    waiting = run(client.next_round)
    time.sleep(0.1)
    client.interrupt()
    with pytest.raises(tributary.Interrupted):
        waiting.result(WAIT)


@pytest.fixture
def ctrl_c():
    """As in a terminal: a shell starts what is in its background without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_the_middle_of_a_send(job, model, connect, ctrl_c):
    job.open_round(model)
    with connect() as client:
        round = next(client.rounds(timeout=WAIT))

        def press():
            with contextlib.suppress(TimeoutError):
                job.await_update(WAIT)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=press).start()
        with pytest.raises(KeyboardInterrupt):
            round.send(model, samples=1)
    assert job.trainers == []


def test_a_fork_is_told_to_connect_by_itself(job, model, connect):
    job.open_round(model)
    client = connect()
    round = next(client.rounds(timeout=WAIT))
    context = multiprocessing.get_context("fork")
    said = context.SimpleQueue()

    def child():
        try:
            round.send(model, samples=1)
        except tributary.TributaryError as e:
            said.put(str(e))
        client.close()

    forked = context.Process(target=child)
    forked.start()
    forked.join(WAIT)
    assert "connect in each process" in said.get()
    assert job.trainers == ["t-1"], "the child has not left for its parent"


def test_a_child_does_not_keep_its_parent_alive(job):
    """DataLoader workers are forks: they must not hold the lock of a trainer that was killed."""
    script = (
        "import os, sys, time, tributary\n"
        "tributary.connect(sys.argv[1], job='fake', id='t-1', timeout=10)\n"
        "if os.fork() == 0:\n"
        "    time.sleep(60)\n"
        "    os._exit(0)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, job.uri], stdout=subprocess.PIPE, start_new_session=True
    ) as trainer:
        assert trainer.stdout.readline() == b"ready\n"
        assert job.trainers == ["t-1"]
        trainer.kill()
        deadline = time.monotonic() + WAIT
        while job.trainers and time.monotonic() < deadline:
            time.sleep(0.05)
        left = job.trainers
        os.killpg(trainer.pid, signal.SIGKILL)
    assert left == []


TRAINER = """
import sys, tributary
with tributary.connect(sys.argv[1], job="fake", id="t-1", state_dir=sys.argv[2], timeout=10) as c:
    for round in c.rounds(timeout=20):
        value = float(sys.argv[3])
        receipt = round.send(
            {n: t * 0 + t.dtype.type(value) for n, t in round.tensors.items()}, samples=3)
        print(receipt.id.round, receipt.status, flush=True)
"""


def test_an_update_survives_the_death_of_its_trainer(job, model, tmp_path):
    """It is sent again as it was, although its next process would have trained otherwise."""

    def start(value):
        return subprocess.Popen(
            [sys.executable, "-c", TRAINER, job.uri, str(tmp_path / "state"), str(value)],
            stdout=subprocess.PIPE,
            text=True,
        )

    job.open_round(model)
    with start(5) as first:
        try:
            job.await_update(WAIT)
        finally:
            first.kill()
    with start(9) as second:
        update = job.await_update(WAIT)
        assert update.samples == 3
        assert update.tensors["fc.bias"].tolist() == [5, 5]
        job.commit(update)
        job.open_round(model)
        update = job.await_update(WAIT)
        assert update.id.round == 2, "the answered round does not come again"
        assert update.tensors["fc.bias"].tolist() == [9, 9]
        job.commit(update)
        job.finish()
        assert second.stdout.read() == "2 COMMITTED\n"
    assert list((tmp_path / "state").rglob("*.update")) == []


def test_an_update_that_was_kept_and_is_damaged_is_named(job, model, tmp_path, connect):
    job.open_round(model)
    file = tmp_path / "state" / "fake" / "t-1.update"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"nonsense")
    client = connect(state_dir=tmp_path / "state")
    with pytest.raises(tributary.Malformed, match=r"t-1\.update.*remove the file"):
        next(client.rounds(timeout=WAIT))


def test_a_process_that_has_died_is_dead(tmp_path):
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib\nfrom tributary.shm import process\n"
            "print(process.owner(pathlib.Path(sys.argv[1]))['process'], flush=True)\n"
            "sys.stdin.read()",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    ) as other:
        id = other.stdout.readline().strip()
        assert process.lives(id, tmp_path / "below" / "made")
        other.kill()
        other.wait()
        assert not process.lives(id, tmp_path / "below" / "made")
    assert process.lives(process.owner(tmp_path)["process"], tmp_path / "made")


def test_importing_takes_a_moment_only():
    script = (
        "import time; b = time.process_time(); import tributary; a = time.process_time();"
        "import sys; assert 'torch' not in sys.modules; print(a - b)"
    )
    times = [
        float(
            subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
        )
        for _ in range(7)
    ]
    # Of the processor, and the best of some: the machine may be busy.
    assert min(times) < 0.3


def test_a_list_goes_by_the_order_of_the_model_that_was_saved(job, connect, run):
    """The file is sorted otherwise: by type and name."""
    model = {"z": np.zeros(2, np.float32), "n": np.array(1), "a": np.ones(3, np.float32).T}
    job.open_round(model)
    round = next(connect().rounds(timeout=WAIT))
    assert round.names == ["z", "n", "a"]
    assert [len(np.shape(a)) for a in round.arrays()] == [1, 0, 1]
    with pytest.raises(tributary.ModelMismatch, match="2 tensors, the model has 3: z, n, a"):
        round.send([1, 2], samples=1)
    sent = run(round.send, [[5, 6], 7, [8, 9, 10]], samples=1)
    update = job.await_update(WAIT)
    assert update.tensors["z"].tolist() == [5, 6]
    assert update.tensors["n"].tolist() == 7
    job.commit(update)
    sent.result(WAIT)


def test_a_model_is_saved_as_it_is(tmp_path):
    import safetensors.numpy

    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    tributary.save_model(tmp_path / "m", {"w": turned, "s": np.float64(3)})
    read = safetensors.numpy.load_file(tmp_path / "m")
    np.testing.assert_array_equal(read["w"], turned)
    assert read["s"] == 3
    assert os.listdir(tmp_path) == ["m"]


@pytest.mark.parametrize("retry", [False, True])
def test_an_update_that_was_given_up_is_not_sent(job, model, connect, run, retry):
    """Its memory has the newer one."""
    job.open_round(model)
    round = next(connect().rounds(timeout=WAIT))
    first = round.update()
    first.fill(model)
    if retry:
        sent = run(first.send, samples=1)
        job.commit(job.await_update(WAIT))
        sent.result(WAIT)
    second = round.update()
    second.fill({name: value * 0 for name, value in model.items()})
    with pytest.raises(tributary.TributaryError, match="it was given up"):
        first.send(samples=1)
    with pytest.raises(tributary.TributaryError, match="it was given up"):
        first["fc.bias"]
    sent = run(second.send, samples=1)
    job.commit(job.await_update(WAIT))
    sent.result(WAIT)


def test_to_ask_for_a_tensor_is_not_to_write_it(job, model, connect):
    job.open_round(model)
    update = next(connect().rounds(timeout=WAIT)).update()
    assert "fc.bias" in update
    assert "other" not in update
    for name in ("fc.weight", "steps"):
        update[name][...] = 1
    with pytest.raises(tributary.ModelMismatch, match=r"fc\.bias"):
        update.send(samples=1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array(1 << 40), "has 1099511627776, which elements of int32 cannot have"),
        (np.array(2.0), "has elements of float64, the model has int32"),
    ],
)
def test_integers_are_never_cut_off(job, connect, value, expected):
    job.open_round({"n": np.array(1, np.int32)})
    round = next(connect().rounds(timeout=WAIT))
    with pytest.raises(tributary.ModelMismatch, match=expected):
        round.check({"n": value})
    with pytest.raises(tributary.ModelMismatch, match=r"'n' has (values that )?elements of"):
        round.send({"n": value}, samples=1)


def test_what_overflows_on_its_way_is_found(job, connect):
    job.open_round({"w": np.zeros(1, np.float32)})
    round = next(connect().rounds(timeout=WAIT))
    with pytest.raises(tributary.ModelMismatch, match=r"has inf at \[0\]"):
        round.check({"w": np.array([1e39])})


def test_a_directory_of_somebody_else_is_not_used(tmp_path):
    if os.getuid() != 0:
        pytest.skip("needs root, to make something as another user")
    root = tmp_path / "regions"
    (root / "digits").mkdir(parents=True)
    os.chown(root / "digits", 12345, 0)
    with pytest.raises(tributary.TributaryError, match="digits: it belongs to user 12345"):
        tributary.connect(f"shm:{root}?agent-port=1", job="digits", id="t", timeout=1)


@pytest.mark.parametrize("end", ["\\ud800", "x"])
def test_a_forged_end_ends_nobody(job, model, connect, end):
    job.open_round(model)
    client = connect()
    next(client.rounds(timeout=WAIT))
    file = job._directory / "round.json"
    plan = json.loads(file.read_text())
    plan.update(state="ENDED", end="END")
    file.write_text(json.dumps(plan).replace('END"}', end + '"}').replace('"END"', f'"{end}"'))
    with pytest.raises(tributary.NoAnswer):
        client.next_round(timeout=1)


def test_a_number_that_no_float_can_hold_is_the_messages_fault():
    from tributary import messages

    vectors = json.loads((VECTORS / "messages.json").read_text())
    plan = json.dumps(vectors[0]["json"]).replace("600.5", "1" + "0" * 400)
    with pytest.raises(tributary.Malformed, match="OverflowError"):
        messages.decode_plan(plan.encode())


def test_a_kept_update_does_not_wait_for_ever(job, model, tmp_path, connect, run):
    job.open_round(model)
    first = connect(state_dir=tmp_path)
    run(next(first.rounds(timeout=WAIT)).send, model, samples=1, metrics={"l": np.float32(0.5)})
    job.await_update(WAIT)
    first.interrupt()
    first.close()
    second = connect(state_dir=tmp_path)
    with pytest.raises(tributary.NoAnswer, match="it is kept"):
        second.next_round(timeout=1)
    second.close()
    with pytest.raises(tributary.TributaryError, match="closed"):
        second.next_round(timeout=1)


def test_a_wait_for_room_can_be_interrupted(job, model, connect, run, monkeypatch):
    from tributary.shm.region import UpdateRegions

    job.open_round(model)
    client = connect()
    round = next(client.rounds(timeout=WAIT))
    monkeypatch.setattr(UpdateRegions, "_find", lambda self, length: None)
    waiting = run(round.update)
    wanted = job._directory / "wanted"
    deadline = time.monotonic() + WAIT
    while not (wanted.exists() and list(wanted.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(list(wanted.iterdir())) == 1
    client.interrupt()
    with pytest.raises(tributary.Interrupted):
        waiting.result(WAIT)
    assert list(wanted.iterdir()) == []


@pytest.mark.parametrize(
    "content", ["[" * 60_000, '{"owner": {"process": "../../x"}}', '{"owner": 7}', "\\u0000"]
)
def test_what_others_put_beside_it_ends_no_trainer(job, model, connect, content):
    job.open_round(model)
    client = connect()
    (job._directory / "wanted").mkdir(exist_ok=True)
    (job._directory / "wanted" / "x.json").write_text(content)
    os.mkfifo(job._directory / "dead-letters.jsonl")
    client.events()
    time.sleep(0.5)
    assert next(client.rounds(timeout=WAIT)).number == 1


@pytest.mark.parametrize(
    "options", [{"receipt_timeout": 0}, {"patience": -1}, {"heartbeat": 30}, {"heartbeat": 0}]
)
def test_times_are_checked(job, options):
    with pytest.raises(ValueError, match="expected seconds, more than 0"):
        tributary.connect(job.uri, job=job.name, id="t", **options)


def test_the_job_says_what_trainers_should_know(job, model, connect):
    job.open_round(model, {"lr": 0.1, "epochs": 2, "name": "a", "on": True})
    round = next(connect().rounds(timeout=WAIT))
    assert round.config == {"lr": 0.1, "epochs": 2, "name": "a", "on": True}


def test_a_job_that_is_elsewhere_is_named(tmp_path):
    """As that of a demo, whose directory is below the default one."""
    with FakeJob(tmp_path / "demo-1") as job:
        job.open_round({"w": np.zeros(1)})
        with pytest.raises(tributary.NoAnswer, match=rf"as in shm:{tmp_path}/demo-1;"):
            tributary.connect(f"shm:{tmp_path}?agent-port=1", job=job.name, id="t", timeout=0.5)


def test_what_is_no_number_or_no_tensors_is_named(job, model, connect):
    job.open_round(model)
    round = next(connect().rounds(timeout=WAIT))
    assert repr(round) == "Round(1.0, WEIGHTS, 3 tensors)"
    with pytest.raises(TypeError, match="metric 'note' is 'good', expected a number"):
        round.send(model, samples=1, metrics={"note": "good"})
    with pytest.raises(TypeError, match="NoneType; expected tensors by name"):
        round.send(None, samples=1)


@pytest.mark.parametrize(
    "uri",
    [
        "amqp://me:hush@h:1", "mqtt:me:hush@h", "mqtt://me:hu/sh@h:1883", "mqtt://me:hu@sh@h:1",
        "kafka://me:hush@h:1", "shm:me:hush@x",
    ],
)  # fmt: skip
def test_no_error_repeats_a_password(job, uri):
    with pytest.raises(ValueError, match=r"expected") as failure:
        tributary.connect(uri, job="j", id="t")
    assert not any(part in str(failure.value) for part in ("hush", "hu/sh", "hu@", "sh@"))


def test_properties_that_kafka_does_not_know_are_named():
    pytest.importorskip("confluent_kafka")
    for wrong in ({"security.protokol": "ssl"}, {"ssl.ca.location": "/missing.pem"}):
        with pytest.raises(ValueError, match="properties of Kafka: "):
            tributary.connect(
                "kafka://127.0.0.1:9", job="j", id="t", kafka={"security.protocol": "ssl", **wrong}
            )
    with pytest.raises(ValueError, match=r"'message\.max\.bytes' is not to be chosen"):
        tributary.connect("kafka://h:9", job="j", id="t", kafka={"message.max.bytes": "1"})


def test_a_kafka_broker_that_is_away_is_named():
    pytest.importorskip("confluent_kafka")
    with pytest.raises(tributary.Unreachable, match=r"kafka://127\.0\.0\.1:9: .*away for 1 s"):
        tributary.connect("kafka://127.0.0.1:9", job="j", id="t", patience=1)


def test_a_topic_without_a_leader_is_asked_for_again():
    """A broker says so for a while of a topic that was made a moment ago."""
    ck = pytest.importorskip("confluent_kafka")
    from tributary.kafka import KafkaConnection

    class Consumer:
        codes: ClassVar = [
            ck.KafkaError.NOT_LEADER_FOR_PARTITION,
            ck.KafkaError.LEADER_NOT_AVAILABLE,
        ]

        def get_watermark_offsets(self, place, timeout):
            if self.codes:
                raise ck.KafkaException(ck.KafkaError(self.codes.pop()))
            return 3, 7

    connection = object.__new__(KafkaConnection)
    connection._uri, connection._patience = "kafka://h:1", 60
    connection._closed, connection._consumer = threading.Event(), Consumer()
    assert connection._end_of("receipts", 0).offset == 7
    Consumer.codes.append(ck.KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(tributary.Unreachable, match="kafka://h:1: to read receipts: "):
        connection._end_of("receipts", 0)


def test_a_job_that_does_not_answer_is_named_before_the_time_is_up(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("tributary.membership._QUIET", 0.0)
    with pytest.raises(tributary.NoAnswer):
        tributary.connect(f"shm:{tmp_path}?agent-port=1", job="digits", id="t-1", timeout=2.5)
    (said,) = [m for m in caplog.messages if "has not answered yet" in m]
    assert said.startswith("t-1: job 'digits' has not answered yet; waiting for a receipt in ")
    assert f"no job 'digits' is in {tmp_path}" in said
