# SPDX-License-Identifier: Apache-2.0
"""A trainer whose updates are files that a test has written: DIRECTORY/ID-ROUND.safetensors."""

import logging
import sys

import safetensors.numpy

import tributary


def main(uri, job, trainer, group, directory, samples, *state):
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with tributary.connect(
        uri, job=job, id=trainer, group=group, state_dir=state[0] if state else None,
        receipt_timeout=5, heartbeat=1,
    ) as client:  # fmt: skip
        for round in client.rounds(timeout=90):
            file = f"{directory}/{trainer}-{round.number}.safetensors"
            receipt = round.send(safetensors.numpy.load_file(file), samples=int(samples))
            print(round.number, receipt.status, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
