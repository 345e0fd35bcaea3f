# SPDX-License-Identifier: Apache-2.0
"""An application cluster, which runs one job, and Flink's reactive mode in it."""

import json
import re
import subprocess
import urllib.request
import zipfile

import pytest

from conftest import run
from federation import RUN_ARGS, free_port, until

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

    def start(name, image, *command, options=()):
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

    def clean():
        # With what a run left that was killed; a network takes its containers with it.
        for line in (["network", "rm", "--force", NAME], ["volume", "rm", "--force", NAME]):
            subprocess.run(["podman", *line], capture_output=True)

    clean()
    run("podman", "network", "create", NAME)
    yield start
    clean()


def start_job(podman, port):
    """Starts a job manager for the job of the profile 'shm'."""
    podman(
        "model",
        "tributary-cli",
        "-c",
        "mkdir /data/shm && tributary trainer --initial-model /data/shm/model-0.safetensors",
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


def test_the_job_takes_all_task_managers_that_there_are(podman):
    port = free_port()

    def parallelism():
        """Of the operator with the most subtasks, and of the coordinator."""
        jobs = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/jobs/overview"))["jobs"]
        url = f"http://127.0.0.1:{port}/jobs/{jobs[0]['jid']}"
        vertices = json.load(urllib.request.urlopen(url))["vertices"]
        # The source of the initial model has nothing more to say.
        assert {vertex["status"] for vertex in vertices} <= {"RUNNING", "FINISHED"}
        coordinator = next(v for v in vertices if v["name"].startswith("round coordinator"))
        return max(vertex["parallelism"] for vertex in vertices), coordinator["parallelism"]

    def found():
        """The same, or why it cannot be seen yet."""
        try:
            return parallelism()
        except (OSError, LookupError, StopIteration, AssertionError) as e:
            return repr(e)

    def await_parallelism(expected):
        until(lambda: found() == expected, 300, lambda: f"expected {expected}, found {found()}")

    start_job(podman, port)
    podman("taskmanager-1", "tributary-job", "taskmanager")
    await_parallelism((1, 1))
    podman("taskmanager-2", "tributary-job", "taskmanager")
    await_parallelism((2, 1))
    run("podman", "kill", f"{NAME}-taskmanager-1")
    await_parallelism((1, 1))


def test_a_task_manager_of_another_version(podman, release, tmp_path):
    jar = next((release / "flink/lib").glob("protocol-*.jar"))
    other = tmp_path / jar.name
    with zipfile.ZipFile(jar) as files, zipfile.ZipFile(other, "w") as changed:
        for name in files.namelist():
            content = files.read(name)
            if name == "META-INF/MANIFEST.MF":
                content, changes = re.subn(
                    rb"(Implementation-Version: ).*?\r", rb"\g<1>0.0.1\r", content
                )
                assert changes == 1
            changed.writestr(name, content)
    other.chmod(0o644)
    tmp_path.chmod(0o755)
    start_job(podman, free_port())
    mount = f"{other}:/opt/flink/lib/{jar.name}:ro"
    podman("taskmanager-1", "tributary-job", "taskmanager", options=("--volume", mount))
    expected = "on this host are of version 0.0.1; put those of the job's release"

    def said():
        command = ["podman", "logs", f"{NAME}-jobmanager"]
        logs = subprocess.run(command, capture_output=True, text=True)
        return logs.stdout + logs.stderr

    until(lambda: expected in said(), 300, lambda: said()[-3000:])
