# SPDX-License-Identifier: Apache-2.0
"""What the examples share: their arguments, and scikit-learn's 1,797 digits of 8 by 8 pixels."""

import argparse
import logging

import numpy as np
from sklearn.datasets import load_digits


def arguments(about):
    """The command line of an example."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("uri", nargs="?", help="how the job is reached: mqtt://HOST:1883, shm:")
    parser.add_argument("--job", default="digits")
    parser.add_argument("--id", default="t-1")
    parser.add_argument("--group", default="default")
    parser.add_argument("--part", default="1/1", help="this trainer's part of the data, as 2/3")
    parser.add_argument("--initial", metavar="FILE", help="only write the model to begin with")
    given = parser.parse_args()
    if (given.uri is None) == (given.initial is None):
        parser.error("expected a URI, or --initial FILE")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return given


def share(part):
    """Pixels [n, 64] from 0 to 1 and labels [n] of a part. The last 297 digits are for tests."""
    index, count = map(int, part.split("/"))
    images, labels = load_digits(return_X_y=True)
    mine = slice(index - 1, 1500, count)
    return (images[mine] / 16).astype(np.float32), labels[mine].astype(np.int64)


def test_set():
    """The digits that no part has."""
    images, labels = load_digits(return_X_y=True)
    return (images[1500:] / 16).astype(np.float32), labels[1500:].astype(np.int64)
