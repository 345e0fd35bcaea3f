# SPDX-License-Identifier: Apache-2.0
"""The compose file, started, looked at, killed and stopped."""

import json
import socket
import urllib.parse
import urllib.request

import pytest

from federation import Federation, free_port, until

TRANSPORTS = ("mqtt", "kafka", "shm")


@pytest.fixture(scope="module")
def federation(release, images):
    for transport in TRANSPORTS:
        # Long enough for all that is done to it here.
        config = release / f"docker/config/{transport}.yaml"
        config.write_text(config.read_text().replace("count: 100", "count: 5000"))
    ports = {"TRIBUTARY_UI_PORT": free_port(), "TRIBUTARY_PROMETHEUS_PORT": free_port()}
    with Federation(release, {**images, **ports}, "tributary-compose") as federation:
        yield federation


def test_three_rounds_over_each_transport(federation):
    # One after the other: all at once is much for two processors.
    for transport in TRANSPORTS:
        federation.up(transport)
        federation.await_round(f"submit-{transport}", 3, 300)
        ledgers = (federation.volume("data") / f"{transport}/models").glob("model-*.json")
        updates = [update for file in ledgers for update in json.loads(file.read_text())["updates"]]
        assert {u["trainer"] for u in updates} == {f"{transport}-1", f"{transport}-2"}


@pytest.mark.parametrize(
    ("victim", "transports"),
    [
        ("taskmanager-1", TRANSPORTS),
        ("mosquitto", ("mqtt",)),
        ("kafka", ("kafka",)),
        ("agent", ("shm",)),
    ],
)
def test_goes_on_after_a_kill(federation, victim, transports):
    before = {transport: federation.rounds(f"submit-{transport}")[-1] for transport in transports}
    federation.kill(victim)
    for transport, round in before.items():
        federation.await_round(f"submit-{transport}", round + 5, 300)


def test_the_doctor_in_a_container(federation):
    doctor = ("tributary", "doctor", "--run-as", "tributary", "--dir", "/dev/shm/tributary")
    said = federation.podman("exec", federation.name("agent"), *doctor, check=False)
    assert "MISSING" not in said
    assert "OK       memory limit   none" in said
    assert "OK       agent          runs on port 10105" in said


def test_a_job_manager_that_is_killed(federation):
    """Flink forgets its jobs; each goes on when it is submitted again."""
    before = federation.rounds("submit-kafka")[-1]
    federation.kill("jobmanager")
    federation.await_exit("submit-kafka", 300)
    federation.up("kafka", "submit-kafka")
    federation.await_round("submit-kafka", before + 5, 300)
    assert "going on from /data/checkpoints/digits-kafka/" in federation.logs("submit-kafka")


def test_a_port_in_use(release, images):
    """Another program has the port of the web UI."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with Federation(release, {**images, "TRIBUTARY_UI_PORT": port}, "tributary-port") as other:
            said = other.compose("shm", "up", "--detach", "jobmanager", check=False)
    assert f"{port}: bind: address already in use" in said


def query(federation, expression):
    port = federation.environment["TRIBUTARY_PROMETHEUS_PORT"]
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def test_each_panel_shows_something(federation, release):
    federation.up("monitoring", "prometheus")
    dashboard = json.loads((release / "docker/config/grafana/dashboard.json").read_text())
    expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    assert expressions

    empty = list(expressions)

    def all_answered():
        try:
            empty[:] = [e for e in empty if not query(federation, e)]
        except OSError:
            # Prometheus has not begun to listen.
            return False
        return not empty

    until(all_answered, 120, lambda: f"nothing for {empty}")


def test_it_stops_clean(federation):
    federation.down()
    assert federation.containers() == []
    volumes = federation.podman("volume", "ls", "--format", "{{.Name}}").split()
    assert not [name for name in volumes if name.startswith(federation.project)]
