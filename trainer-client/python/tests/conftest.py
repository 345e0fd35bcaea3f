# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import contextlib
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import websockets.exceptions
import websockets.sync.server

import tributary
from tributary.testing import FakeJob

# Debian keeps the broker where only root looks.
os.environ["PATH"] += ":/usr/sbin"

MODEL = {
    "fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fc.bias": np.array([0.5, -0.5], np.float32),
    "steps": np.array(3, np.int64),
}


@pytest.fixture
def model():
    return {name: value.copy() for name, value in MODEL.items()}


@pytest.fixture
def job(tmp_path):
    with FakeJob(tmp_path / "job") as fake:
        yield fake


@pytest.fixture
def run():
    """Runs a trainer in a thread of its own, which a test that fails does not wait for."""

    def start(call, *arguments, **named):
        running = concurrent.futures.Future()

        def work():
            try:
                running.set_result(call(*arguments, **named))
            except BaseException as e:
                running.set_exception(e)

        threading.Thread(target=work, daemon=True).start()
        return running

    return start


@pytest.fixture
def connect(job):
    """Connects trainers that look often, and closes them."""
    clients = []

    def connected(id="t-1", **options):
        options = {"timeout": 10, "receipt_timeout": 5.0, **options}
        client = tributary.connect(job.uri, job=job.name, id=id, **options)
        clients.append(client)
        return client

    yield connected
    for client in clients:
        client.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mosquitto:
    """A broker in a process of its own."""

    def __init__(self, directory: Path, settings: str = "allow_anonymous true"):
        self.port = free_port()
        self._directory = directory
        self._settings = settings
        self._process = None

    def start(self):
        file = self._directory / "mosquitto.conf"
        file.write_text(
            f"user root\n{self._settings}\nmax_queued_messages 0\nlistener {self.port} 127.0.0.1\n"
        )
        self._process = subprocess.Popen(
            ["mosquitto", "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise TimeoutError("mosquitto does not answer")

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def web_socket():
    """Gives a port by which a broker is reached over WebSockets: Mosquitto may have none."""
    servers = []

    def relay(broker, tls=None):
        def serve(connection):
            with socket.create_connection(("127.0.0.1", broker.port)) as tcp:
                threading.Thread(target=back, args=(tcp, connection), daemon=True).start()
                for frame in connection:
                    tcp.sendall(frame)

        def back(tcp, connection):
            with contextlib.suppress(OSError, websockets.exceptions.ConnectionClosed):
                while data := tcp.recv(1 << 16):
                    connection.send(data)
            connection.close()

        server = websockets.sync.server.serve(
            serve, "127.0.0.1", 0, subprotocols=["mqtt"], max_size=None, ssl=tls
        )
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.socket.getsockname()[1]

    yield relay
    for server in servers:
        server.shutdown()


@pytest.fixture
def mosquitto(tmp_path):
    brokers = []

    def started(settings="allow_anonymous true"):
        broker = Mosquitto(tmp_path, settings).start()
        brokers.append(broker)
        return broker

    yield started
    for broker in brokers:
        broker.stop()
