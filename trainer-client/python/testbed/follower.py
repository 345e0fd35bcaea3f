# SPDX-License-Identifier: Apache-2.0
"""Writes a line for each thing that a job says of its rounds, until it has ended."""

import json
import sys

import tributary


def main(uri, job):
    with tributary.follow(uri, job=job) as news:
        print("following", flush=True)
        for said in news:
            if isinstance(said, tributary.Model):
                print(json.dumps({"model": said.id.round}), flush=True)
                continue
            evaluation = said.evaluation
            line = {"round": said.id.round, "state": said.state, "updates": said.updates}
            line["metrics"] = dict(said.metrics)
            line["evaluated"] = evaluation.model.round if evaluation else None
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
