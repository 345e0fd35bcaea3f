# SPDX-License-Identifier: Apache-2.0
"""A trainer of ``./tributary bench --path peer`` that does not train.

It prints a line when it has a round's model: the round, and the monotonic clock in nanoseconds,
which all processes of a machine share.
"""

import sys
import time

import tributary


def main(uri, job, trainer, group, samples):
    with tributary.connect(uri, job=job, id=trainer, group=group) as client:
        for round in client.rounds():
            print(round.number, time.monotonic_ns(), flush=True)
            values = {name: value + 1 for name, value in round.tensors.items()}
            receipt = round.send(values, samples=int(samples))
            assert receipt.status == "COMMITTED", receipt


if __name__ == "__main__":
    main(*sys.argv[1:])
