# SPDX-License-Identifier: Apache-2.0
"""A trainer of ``./tributary chaos``, until it is killed or told to stop.

It writes a line before and a line after each sending. Its updates follow from its id and the
round, as in Java's ``ChaosUpdates``, so that anybody can tell what they were.
"""

import json
import logging
import sys
import time
from pathlib import Path

import numpy as np

import tributary

ELEMENTS = 400_000
PAUSE = 0.2
_MASK = (1 << 64) - 1


def string_hash(text):
    """Java's ``String.hashCode``."""
    value = 0
    for letter in text:
        value = (31 * value + ord(letter)) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def values(trainer, round_id):
    """The values that Java's ``SplittableRandom`` draws: Steele et al., OOPSLA 2014, figure 17."""
    seed = string_hash(trainer) * 1_000_003 + round_id.round * 1009 + round_id.epoch
    steps = np.arange(1, ELEMENTS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = np.uint64(seed & _MASK) + steps
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(11)) * 2.0**-53 * 2 - 1).astype(np.float32)


class Log:
    def __init__(self, directory, trainer):
        directory.mkdir(exist_ok=True)
        self._file = directory / f"{trainer}.jsonl"

    def write(self, round_id, status="", text=""):
        line = {"round": round_id.round, "epoch": round_id.epoch, "status": status, "text": text}
        with open(self._file, "a") as out:
            out.write(json.dumps(line) + "\n")


def train(uri, job, trainer, group, log, stop):
    samples = 1 + string_hash(trainer) % 1000
    with tributary.connect(
        uri, job=job, id=trainer, group=group, timeout=10, receipt_timeout=5, heartbeat=1
    ) as client:
        while not stop.exists():
            try:
                round = client.next_round(timeout=2)
            except tributary.NoAnswer:
                continue
            if round is None:
                return
            # Training takes its time.
            time.sleep(PAUSE)
            update = round.update()
            for name in update:
                whose = trainer if name == "weight" else f"{trainer}/{name}"
                update[name][...] = values(whose, round.id)
            log.write(round.id)
            try:
                receipt = update.send(samples=samples)
                log.write(round.id, receipt.status, receipt.text)
            except tributary.Rejected as e:
                log.write(round.id, "REJECTED", e.text)


def main(uri, job, trainer, group, directory, stop):
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    log, stop = Log(Path(directory), trainer), Path(stop)
    while not stop.exists():
        try:
            train(uri, job, trainer, group, log, stop)
        except tributary.TributaryError as e:
            # Of whatever is being killed; what matters is what the log says in the end.
            logging.warning("%s: %s", trainer, e)
            time.sleep(PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
