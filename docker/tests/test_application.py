# SPDX-License-Identifier: Apache-2.0
"""An application cluster, which runs one job, and Flink's reactive mode in it."""

import json
import time
import urllib.request

import pytest

from conftest import run
from federation import RUN_ARGS, free_port

NAME = "tributary-application"
PROPERTIES = """
jobmanager.rpc.address: jobmanager
jobmanager.memory.process.size: 1g
taskmanager.memory.process.size: 1500m
taskmanager.numberOfTaskSlots: 1
scheduler-mode: reactive
jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling: 1s
jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout: 1s
"""


@pytest.fixture
def podman(release, images):
    """Starts containers of one network, with the job's files and a volume for its models."""
    names = []

    def start(name, image, *command, options=()):
        names.append(name)
        run(
            "podman",
            "run",
            "--detach",
            "--name",
            f"{NAME}-{name}",
            *RUN_ARGS.split(),
            "--network",
            f"{NAME}:alias={name}",
            "--volume",
            f"{NAME}:/data",
            "--volume",
            f"{release}/docker/config:/etc/tributary:ro",
            "--env",
            f"FLINK_PROPERTIES={PROPERTIES}",
            *options,
            image,
            *command,
        )

    run("podman", "network", "create", NAME)
    try:
        yield start
    finally:
        for name in reversed(names):
            run("podman", "rm", "--force", "--time", "1", f"{NAME}-{name}")
        run("podman", "network", "rm", NAME)
        run("podman", "volume", "rm", "--force", NAME)


def test_the_job_takes_all_task_managers_that_there_are(podman):
    port = free_port()

    def parallelism():
        """Of the operator with the most subtasks, and of the coordinator."""
        jobs = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/jobs/overview"))["jobs"]
        url = f"http://127.0.0.1:{port}/jobs/{jobs[0]['jid']}"
        vertices = json.load(urllib.request.urlopen(url))["vertices"]
        assert {vertex["status"] for vertex in vertices} == {"RUNNING"}
        coordinator = next(v for v in vertices if v["name"].startswith("round coordinator"))
        return max(vertex["parallelism"] for vertex in vertices), coordinator["parallelism"]

    def await_parallelism(expected):
        end = time.monotonic() + 120
        found = None
        while found != expected:
            assert time.monotonic() < end, f"expected {expected}, found {found}"
            time.sleep(1)
            try:
                found = parallelism()
            except (OSError, LookupError, AssertionError) as e:
                found = repr(e)

    model = "/data/shm/model-0.safetensors"
    podman(
        "model",
        "tributary-cli",
        "-c",
        f"mkdir /data/shm && tributary trainer --initial-model {model}",
        options=("--entrypoint", "sh"),
    )
    run("podman", "wait", f"{NAME}-model")
    podman(
        "jobmanager",
        "tributary-job",
        "standalone-job",
        "--job-classname",
        "io.tributary.job.JobEntrypoint",
        # Flink would take --config for its own --configDir.
        "--",
        "--config",
        "/etc/tributary/shm.yaml",
        options=("--publish", f"127.0.0.1:{port}:8081"),
    )
    podman("taskmanager-1", "tributary-job", "taskmanager")
    await_parallelism((1, 1))
    podman("taskmanager-2", "tributary-job", "taskmanager")
    await_parallelism((2, 1))
    run("podman", "kill", f"{NAME}-taskmanager-1")
    await_parallelism((1, 1))
