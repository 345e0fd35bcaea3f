# SPDX-License-Identifier: Apache-2.0
"""How long a trainer takes to send an update, against the least that it could take.

    python trainer-client/python/benchmarks/send.py shm
    python trainer-client/python/benchmarks/send.py mqtt

Over shared memory the limit is one ``numpy.copyto`` of the same bytes into memory that was touched
before. Over MQTT it is paho alone, which publishes the same chunks to the same broker with the same
number of messages under way. Both take turns. What is printed are medians, in milliseconds.
"""

import argparse
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import uuid
from collections import deque
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tributary.chunks import MAX_CHUNK_BYTES
from tributary.connection import Connection, Identity, Options, Sending, connect
from tributary.inbox import Inbox
from tributary.messages import RoundId
from tributary.model_file import model_bytes
from tributary.shm.region import OwnedRegion
from tributary.tensors import Layout, copy_into
from tributary.testing import release

WARM_UP = 4


def timed(call):
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def report(what, limit, pairs):
    ours = statistics.median(p[0] for p in pairs[WARM_UP:])
    least = statistics.median(p[1] for p in pairs[WARM_UP:])
    ratio = statistics.median(a / b for a, b in pairs[WARM_UP:])
    print(f"{what}: {ours:.1f} ms, {limit}: {least:.1f} ms, ratio {ratio:.2f}")


def write(connection: Connection, layout: Layout, values: np.ndarray, attempt: int):
    """What ``Round.send`` does until the update is on its way."""
    memory = connection.memory(layout.length)
    memory.buffer[: len(layout.header)] = layout.header
    copy_into(layout.views(memory.buffer)["w"], "w", values)
    connection.publish(memory, Sending(RoundId(1, 0), "WEIGHTS", attempt, 1, {}))
    return memory


def client(uri):
    who = Identity("bench", "t-1", uuid.uuid4().hex, "g")
    return connect(uri, who, Options(), Inbox("t-1", who.instance))


def shm(layout, values, turns):
    directory = tempfile.mkdtemp(dir="/dev/shm")
    (Path(directory) / "bench").mkdir(mode=0o700)
    connection = client(f"shm:{directory}?agent-port=1")
    touched = np.zeros_like(values)
    pairs = []
    try:
        for turn in range(turns):
            memory = None

            def ours(turn=turn):
                nonlocal memory
                memory = write(connection, layout, values, turn + 1)

            took = timed(ours)
            pairs.append((took, timed(lambda: np.copyto(touched, values))))
            assert isinstance(memory, OwnedRegion)
            release(memory.file, memory.generation)
    finally:
        connection.close()
        shutil.rmtree(directory)
    report("write and publish over shm", "numpy.copyto", pairs)


def mqtt(layout, values, turns):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        settings = Path(directory) / "mosquitto.conf"
        settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        broker = subprocess.Popen(["mosquitto", "-c", settings], stderr=subprocess.DEVNULL)
        try:
            connection = client(f"mqtt://127.0.0.1:{port}")
            bare = Bare(port)
            payload = memoryview(bytes(layout.header) + values.tobytes())
            pairs = []
            for turn in range(turns):
                ours = timed(lambda turn=turn: write(connection, layout, values, turn + 1))
                pairs.append((ours, timed(lambda: bare.publish(payload))))
            connection.close()
            bare.client.disconnect()
        finally:
            broker.kill()
            broker.wait()
    report("write and publish over MQTT", "paho alone", pairs)


class Bare:
    """paho, and nothing of ours."""

    def __init__(self, port):
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.max_inflight_messages_set(16)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def publish(self, payload):
        sent = deque()
        for begin in range(0, len(payload), MAX_CHUNK_BYTES):
            if len(sent) >= 16:
                sent.popleft().wait_for_publish()
            chunk = bytes(payload[begin : begin + MAX_CHUNK_BYTES])
            sent.append(self.client.publish("tributary/v1/bench/update/0/bare", chunk, 1))
        for one in sent:
            one.wait_for_publish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", choices=("shm", "mqtt"))
    parser.add_argument("--parameters", type=int, default=11_700_000)
    parser.add_argument("--turns", type=int, default=24)
    given = parser.parse_args()
    values = np.random.default_rng(7).random(given.parameters, dtype=np.float32)
    layout = Layout.parse(model_bytes({"w": values}), "model")
    {"shm": shm, "mqtt": mqtt}[given.path](layout, values, given.turns)


if __name__ == "__main__":
    main()
