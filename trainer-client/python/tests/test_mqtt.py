# SPDX-License-Identifier: Apache-2.0
"""A trainer and Mosquitto, with a job that is a few lines of a test. The real one is in ITCases."""

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import numpy as np
import paho.mqtt.client as paho
import pytest
from crc32c import crc32c
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import tributary
from conftest import free_port
from tributary.chunks import cut
from tributary.model_file import model_bytes

pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto") is None and "TRIBUTARY_REQUIRE_MOSQUITTO" not in os.environ,
    reason="mosquitto is missing: apt-get install mosquitto",
)

WAIT = 15
RUN = "0" * 32
ROOT = "tributary/v1/digits"


class ScriptedJob:
    """Answers a trainer over MQTT as a test says."""

    def __init__(self, port, user=None):
        self.heard = queue.Queue()
        self.answers = True
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        if user:
            client.username_pw_set(user, "secret")
        client.on_message = self._on_message
        client.on_connect = lambda c, *_: c.subscribe(
            [(f"{ROOT}/control/+", 1), (f"{ROOT}/update/+/+", 1)]
        )
        client.reconnect_delay_set(0.1, 0.5)
        ready = threading.Event()
        client.on_subscribe = lambda *_: ready.set()
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert ready.wait(WAIT)
        self._client = client

    def _on_message(self, client, data, message):
        if "/control/" in message.topic:
            control = json.loads(message.payload)
            self.heard.put(control)
            if control["type"] == "JOIN" and self.answers:
                self.receipt("JOINED", trainer=control["trainer"], instance=control["instance"])
        else:
            self.heard.put((dict(message.properties.UserProperty), message.payload))

    def publish(self, topic, payload, retain=False, properties=None):
        made = Properties(PacketTypes.PUBLISH)
        made.UserProperty = list((properties or {}).items())
        info = self._client.publish(f"{ROOT}/{topic}", payload, 1, retain, made)
        info.wait_for_publish(WAIT)

    def receipt(self, status, trainer="t-1", instance="", attempt=0, reason="NONE"):
        message = {
            "job": "digits", "run": RUN, "trainer": trainer, "instance": instance, "round": 1,
            "epoch": 0, "attempt": attempt, "contentId": "", "restores": 0, "status": status,
            "reason": reason, "text": "", "token": "the token" if status == "JOINED" else "",
        }  # fmt: skip
        self._client.publish(f"{ROOT}/receipt/{trainer}", json.dumps(message), 1)

    def open_round(self, model, restores=0):
        beside = {"job": "digits", "run": RUN, "round": "0", "epoch": "0"}
        for chunk, properties in cut(memoryview(model_bytes(model)), 1024, beside):
            self.publish(f"model/{properties['chunk']}", bytes(chunk), True, properties)
        self.plan("OPEN", restores)

    def plan(self, state, restores=0):
        plan = {
            "job": "digits", "state": state, "round": 1, "epoch": 0, "modelRound": 0,
            "modelEpoch": 0, "kind": "WEIGHTS", "deadlineSeconds": 0.0, "restores": restores,
            "run": RUN, "end": "",
        }  # fmt: skip
        self.publish("round", json.dumps(plan), True)

    def hear(self, wanted):
        """The next message of that kind: a type of control message, or ``update``."""
        end = time.monotonic() + WAIT
        while True:
            said = self.heard.get(timeout=max(0.01, end - time.monotonic()))
            if isinstance(said, tuple):
                if wanted == "update":
                    return self._whole(*said)
            elif said["type"] == wanted:
                return said

    def _whole(self, first, payload):
        """All chunks of the sending that this chunk is of."""
        chunks = {int(first["chunk"]): payload}
        while len(chunks) < int(first["chunks"]):
            said = self.heard.get(timeout=WAIT)
            if isinstance(said, tuple) and said[0]["attempt"] == first["attempt"]:
                chunks[int(said[0]["chunk"])] = said[1]
        whole = b"".join(chunks[i] for i in sorted(chunks))
        assert f"{crc32c(whole):08x}" == first["crc32c"]
        return first, whole

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def scripted(port, user=None):
    job = ScriptedJob(port, user)
    try:
        yield job
    finally:
        job.close()


def connect(uri, **options):
    options = {"job": "digits", "id": "t-1", "group": "eu", "timeout": WAIT, **options}
    return tributary.connect(uri, **{"receipt_timeout": WAIT, "patience": 5, **options})


@pytest.fixture
def big():
    """Some chunks."""
    return {"w": np.arange(300_000, dtype=np.float64), "b": np.ones(3, np.float32)}


@pytest.mark.parametrize("web", [False, True])
def test_a_round_over_mqtt(mosquitto, web_socket, big, run, web):
    broker = mosquitto()
    uri = f"mqtt://127.0.0.1:{broker.port}"
    if web:
        uri = f"ws://127.0.0.1:{web_socket(broker)}/mqtt"
    with scripted(broker.port) as job:
        job.open_round(big)
        with connect(uri) as client:
            round = next(client.rounds(timeout=WAIT))
            np.testing.assert_array_equal(round.tensors["w"], big["w"])
            changed = {name: value + 1 for name, value in round.tensors.items()}
            sent = run(round.send, changed, samples=12, metrics={"loss": 1.5, "nan": np.nan})
            properties, payload = job.hear("update")
            assert properties["token"] == "the token"
            assert properties["samples"] == "12"
            assert json.loads(properties["metrics"]) == {"loss": 1.5}
            assert properties["chunk-bytes"] == str(1 << 20)
            assert len(payload) == len(model_bytes(big))
            job.receipt("COMMITTED", attempt=int(properties["attempt"]))
            assert sent.result(WAIT).counts
            job.plan("FINISHED")
            assert list(client.rounds(timeout=WAIT)) == []
        assert job.hear("LEAVE")["trainer"] == "t-1"


def test_a_broker_that_restarts(mosquitto, big, run):
    """The trainer comes back by itself, and sends again what may be lost."""
    broker = mosquitto()
    with scripted(broker.port) as job:
        job.open_round(big)
        with connect(f"mqtt://127.0.0.1:{broker.port}", heartbeat=25) as client:
            sent = run(next(client.rounds(timeout=WAIT)).send, big, samples=1)
            first, _ = job.hear("update")
            broker.stop()
            broker.start()
            again, _ = job.hear("update")
            assert again["attempt"] != first["attempt"]
            job.receipt("COMMITTED", attempt=int(again["attempt"]))
            assert sent.result(WAIT).counts


def test_a_job_that_was_restored_gets_the_update_again(mosquitto, big, run):
    broker = mosquitto()
    with scripted(broker.port) as job:
        job.open_round(big)
        with connect(f"mqtt://127.0.0.1:{broker.port}", receipt_timeout=60) as client:
            sent = run(next(client.rounds(timeout=WAIT)).send, big, samples=1)
            job.hear("update")
            job.plan("OPEN", restores=1)
            again, _ = job.hear("update")
            job.receipt("REJECTED", attempt=int(again["attempt"]), reason="UNKNOWN_TRAINER")
            assert job.hear("JOIN")
            third, _ = job.hear("update")
            job.receipt("DUPLICATE", attempt=int(third["attempt"]))
            assert sent.result(WAIT).status == "DUPLICATE"


def test_a_trainer_that_is_killed_has_left(mosquitto):
    broker = mosquitto()
    script = (
        "import sys, tributary, time\n"
        "tributary.connect(sys.argv[1], job='digits', id='t-1')\n"
        "print('joined', flush=True); time.sleep(60)"
    )
    with scripted(broker.port) as job:
        with subprocess.Popen(
            [sys.executable, "-c", script, f"mqtt://127.0.0.1:{broker.port}"],
            stdout=subprocess.PIPE,
        ) as trainer:
            assert trainer.stdout.readline() == b"joined\n"
            trainer.kill()
        assert job.hear("LEAVE")["trainer"] == "t-1"


def test_a_broker_that_is_away_is_named():
    started = time.monotonic()
    with pytest.raises(
        tributary.Unreachable, match=r"broker mqtt://127\.0\.0\.1:9: it could not be reached"
    ):
        connect("mqtt://127.0.0.1:9", patience=1)
    assert time.monotonic() - started < 10


def test_a_broker_that_goes_for_good_ends_the_wait(mosquitto, run):
    broker = mosquitto()
    with scripted(broker.port):
        client = connect(f"mqtt://127.0.0.1:{broker.port}", patience=1)
    waiting = run(client.next_round)
    broker.stop()
    with pytest.raises(tributary.Unreachable, match="it has been away for"):
        waiting.result(WAIT)
    client.close()


def password_file(directory, *users):
    file = directory / "passwords"
    for index, user in enumerate(users):
        flags = ["-b"] if index else ["-c", "-b"]
        subprocess.run(["mosquitto_passwd", *flags, str(file), user, "secret"], check=True)
    file.chmod(0o644)
    return file


def test_a_wrong_password_is_told_at_once(mosquitto, tmp_path):
    broker = mosquitto(f"allow_anonymous false\npassword_file {password_file(tmp_path, 't-1')}")
    started = time.monotonic()
    with pytest.raises(tributary.Unreachable, match=r"check|not authorized"):
        connect(f"mqtt://127.0.0.1:{broker.port}", user="t-1", password="wrong", patience=60)
    assert time.monotonic() - started < 10


def test_access_rules_that_keep_updates_away_are_told(mosquitto, tmp_path, big):
    rules = tmp_path / "acl"
    rules.write_text(
        f"user job\ntopic readwrite {ROOT}/#\nuser t-1\ntopic read {ROOT}/#\n"
        f"topic write {ROOT}/control/t-1\n"
    )
    rules.chmod(0o600)
    users = password_file(tmp_path, "job", "t-1")
    broker = mosquitto(f"allow_anonymous false\npassword_file {users}\nacl_file {rules}")
    uri = f"mqtt://127.0.0.1:{broker.port}"
    with scripted(broker.port, user="job") as job:
        job.open_round(big)
        with connect(uri, user="t-1", password="secret") as client:
            round = next(client.rounds(timeout=WAIT))
            with pytest.raises(tributary.Unreachable, match=r"update/.*not authorized.*0x87"):
                round.send(big, samples=1)


def test_a_broker_with_small_packets_gets_small_chunks(mosquitto, big, run):
    broker = mosquitto("allow_anonymous true\nmax_packet_size 65536")
    with scripted(broker.port) as job:
        job.open_round(big)
        with connect(f"mqtt://127.0.0.1:{broker.port}") as client:
            sent = run(next(client.rounds(timeout=WAIT)).send, big, samples=1)
            properties, _ = job.hear("update")
            assert int(properties["chunk-bytes"]) == 48 * 1024
            job.receipt("COMMITTED", attempt=int(properties["attempt"]))
            sent.result(WAIT)


def test_what_cannot_be_read_is_ignored(mosquitto, big, caplog):
    broker = mosquitto()
    with scripted(broker.port) as job, connect(f"mqtt://127.0.0.1:{broker.port}") as client:
        job.publish("round", "{", True)
        job.publish("model/0", b"x", True, {"run": RUN})
        job.publish("receipt/t-1", "[]")
        job.open_round(big)
        assert next(client.rounds(timeout=WAIT)).number == 1
    assert "ignored on tributary/v1/digits/round: round plan: expected JSON" in caplog.text


def test_the_doctor_finds_a_job(mosquitto, big, capsys):
    from tributary.__main__ import main

    broker = mosquitto()
    uri = f"mqtt://127.0.0.1:{broker.port}"
    with scripted(broker.port) as job:
        job.open_round(big)
        assert main(["doctor", uri, "--job", "digits"]) == 0
        assert "'digits': round 1.0 is OPEN, updates are WEIGHTS" in capsys.readouterr().out
        assert main(["doctor", uri, "--job", "another"]) == 1
        assert "is its name right?" in capsys.readouterr().out
    broker.stop()
    assert main(["doctor", uri, "--job", "digits"]) == 1
    assert "could not be reached" in capsys.readouterr().out


def test_the_doctor_needs_a_whole_question():
    from tributary.__main__ import main

    with pytest.raises(SystemExit) as usage:
        main(["doctor", "mqtt://h:1"])
    assert usage.value.code == 2


def test_files_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "no.pem").write_text("no certificate")
    for file in ("missing.pem", "no.pem"):
        started = time.monotonic()
        with pytest.raises(ValueError, match=f"expected PEM files, of .*{file}"):
            connect("mqtts://127.0.0.1:9", ca_file=tmp_path / file)
        assert time.monotonic() - started < 2


def test_the_first_reason_is_told():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        threading.Thread(target=lambda: silent.accept()[0].close(), daemon=True).start()
        with pytest.raises(tributary.Unreachable, match="it could not be reached for") as failure:
            connect(f"mqtt://127.0.0.1:{port}", patience=0.5)
    assert "closed" not in str(failure.value).split(": ")[-1]


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(ValueError, match="expected HOST:PORT") as failure:
        connect("mqtt://me:hush@h:1883")
    assert "hush" not in str(failure.value)


def test_leaving_does_not_wait_for_a_broker_that_is_away(mosquitto):
    broker = mosquitto()
    with scripted(broker.port):
        client = connect(f"mqtt://127.0.0.1:{broker.port}", patience=3600)
    broker.stop()
    time.sleep(0.5)
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 5


def test_dead_letters_that_may_not_be_read_end_nothing(
    mosquitto, tmp_path, big, caplog, monkeypatch
):
    """Mosquitto's file of rules lets everybody subscribe, so the broker's no is made here."""
    from tributary.mqtt_link import Link

    subscribe = Link.subscribe

    def rejecting(self, topics):
        if any("dead-letter" in t for t in topics):
            raise tributary.Unreachable("not authorized")
        subscribe(self, topics)

    monkeypatch.setattr(Link, "subscribe", rejecting)
    broker = mosquitto()
    with scripted(broker.port) as job, connect(f"mqtt://127.0.0.1:{broker.port}") as client:
        events = client.events()
        job.open_round(big)
        assert isinstance(next(events), tributary.Plan)
        broker.stop()
        broker.start()
        job.heard.queue.clear()
        assert job.hear("HEARTBEAT")
        assert next(client.rounds(timeout=WAIT)).number == 1
    assert "no dead letters will come" in caplog.text


def test_a_child_does_not_keep_the_connection_of_its_parent(mosquitto):
    broker = mosquitto()
    script = (
        "import os, sys, tributary, time\n"
        "tributary.connect(sys.argv[1], job='digits', id='t-1')\n"
        "if os.fork() == 0:\n    time.sleep(40)\n    os._exit(0)\n"
        "print('joined', flush=True); time.sleep(60)"
    )
    with (
        scripted(broker.port) as job,
        subprocess.Popen(
            [sys.executable, "-c", script, f"mqtt://127.0.0.1:{broker.port}"],
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as trainer,
    ):
        assert trainer.stdout.readline() == b"joined\n"
        trainer.kill()
        trainer.wait()
        started = time.monotonic()
        assert job.hear("LEAVE")["trainer"] == "t-1"
        assert time.monotonic() - started < 5
        os.killpg(trainer.pid, signal.SIGKILL)


def certificates(directory):
    """A CA, and what it has signed: a broker at 127.0.0.1 and a client."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca")
    for name in ("broker", "t-1"):
        openssl(
            "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        (directory / "san").write_text("subjectAltName=IP:127.0.0.1")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "san", "-out", f"{name}.pem",
        )  # fmt: skip


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
@pytest.mark.parametrize("web", [False, True])
def test_a_round_over_tls(mosquitto, web_socket, tmp_path, big, run, web):
    """With a client certificate; over WebSocket, the broker's alone."""
    certificates(tmp_path)
    port = free_port()
    broker = mosquitto(
        "allow_anonymous true\nper_listener_settings false\n"
        f"listener {port} 127.0.0.1\ncafile {tmp_path}/ca.pem\ncertfile {tmp_path}/broker.pem\n"
        f"keyfile {tmp_path}/broker.key\nrequire_certificate true"
    )
    shown = {"certificate": tmp_path / "t-1.pem", "key": tmp_path / "t-1.key"}
    uri = f"mqtts://127.0.0.1:{port}"
    if web:
        shown = {}
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "broker.pem", tmp_path / "broker.key")
        uri = f"wss://127.0.0.1:{web_socket(broker, context)}/mqtt"
    with scripted(broker.port) as job:
        job.open_round(big)
        with connect(uri, ca_file=tmp_path / "ca.pem", **shown) as client:
            sent = run(next(client.rounds(timeout=WAIT)).send, big, samples=1)
            properties, _ = job.hear("update")
            job.receipt("COMMITTED", attempt=int(properties["attempt"]))
            assert sent.result(WAIT).counts
    with pytest.raises(tributary.Unreachable, match=r"its certificate is not trusted: .*ca_file"):
        connect(uri, **shown)


def test_who_has_asked_to_join_leaves_although_nobody_has_answered(mosquitto):
    broker = mosquitto()
    with scripted(broker.port) as job:
        job.answers = False
        with pytest.raises(tributary.NoAnswer):
            connect(f"mqtt://127.0.0.1:{broker.port}", timeout=0.5)
        assert job.hear("JOIN")
        assert job.hear("LEAVE")["trainer"] == "t-1"


def test_a_send_while_the_broker_is_away_can_be_interrupted(mosquitto, big, run):
    broker = mosquitto()
    with scripted(broker.port) as job:
        job.open_round(big)
        client = connect(f"mqtt://127.0.0.1:{broker.port}", patience=3600)
        round = next(client.rounds(timeout=WAIT))
    broker.stop()
    sending = run(round.send, big, samples=1)
    started = time.monotonic()
    while not sending.done() and time.monotonic() - started < WAIT:
        client.interrupt()
        time.sleep(0.1)
    with pytest.raises(tributary.Interrupted):
        sending.result(0)
    client.close()


def test_a_client_that_is_closed_while_it_connects_again_is_closed(mosquitto, monkeypatch):
    from tributary.mqtt_link import Link

    broker = mosquitto()
    with scripted(broker.port):
        client = connect(f"mqtt://127.0.0.1:{broker.port}")
        opened = []
        open_link = Link.open

        def slow(self):
            open_link(self)
            opened.append(self)
            time.sleep(0.5)

        monkeypatch.setattr(Link, "open", slow)
        broker.stop()
        broker.start()
        while not opened:
            time.sleep(0.02)
        client.close()
        client._connection._keeper.join(WAIT)
        assert not client._connection._keeper.is_alive()
        assert not opened[0].client.is_connected()


def test_a_broker_that_throws_a_client_out_again_and_again_is_as_good_as_away(
    mosquitto, monkeypatch
):
    from tributary.mqtt_link import Link

    opened = []
    subscribe = Link.subscribe

    def thrown_out(self, topics):
        subscribe(self, topics)
        opened.append(self)
        self.client.socket().close()

    broker = mosquitto()
    with scripted(broker.port):
        client = connect(f"mqtt://127.0.0.1:{broker.port}", patience=2)
        monkeypatch.setattr(Link, "subscribe", thrown_out)
        client._connection._link.client.socket().close()
        with pytest.raises(tributary.Unreachable, match="it has been away"):
            client.next_round(timeout=60)
        assert len(opened) < 10
        client.close()
