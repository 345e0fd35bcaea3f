# SPDX-License-Identifier: Apache-2.0
"""The compose file's containers, as a user starts and sees them."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

# Without a manager of cgroups here, limits cannot be raised.
RUN_ARGS = "--cgroups=disabled --ulimit nofile=1024:1024 --ulimit nproc=4096:4096"


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return str(any_port.getsockname()[1])


def until(condition, seconds, otherwise):
    """Waits for a condition, and fails after that time with what ``otherwise`` says."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise()
        time.sleep(1)


class Federation:
    """Containers of one project, started from a release by podman-compose."""

    def __init__(self, release, images, project):
        self.release = release
        self.project = project
        self.environment = {**os.environ, **images, "DISABLE_HC_SYSTEMD": "true"}
        self.ends = threading.Event()
        self.health = threading.Thread(target=self._check_health, daemon=True)

    def __enter__(self):
        # What a run left that was killed.
        self.down()
        self.health.start()
        return self

    def __exit__(self, *_):
        self.down()
        self.ends.set()
        self.health.join()

    def compose(self, profile, *arguments, timeout=300, check=True):
        """Runs podman-compose with a profile, or all, and returns what it said."""
        line = [str(Path(sys.executable).parent / "podman-compose"), "--project-name", self.project]
        line += ["--file", str(self.release / "docker/compose.yaml")]
        line += [f"--podman-run-args={RUN_ARGS}"]
        for each in ("mqtt", "kafka", "shm", "monitoring") if profile is None else (profile,):
            line += ["--profile", each]
        done = subprocess.run(
            [*line, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        said = done.stdout + done.stderr
        assert not check or done.returncode == 0, f"{arguments}: {said[-3000:]}"
        return said

    def up(self, profile, *services):
        """Starts what a profile has and does not run yet, or some of it."""
        self.compose(profile, "up", "--detach", *services)

    def down(self):
        self.compose(None, "down", "--volumes", "--timeout", "20")

    def podman(self, *arguments, check=True):
        done = subprocess.run(
            ["podman", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def name(self, service):
        return f"{self.project}_{service}_1"

    def kill(self, service):
        """Kills a container as a crash would, and starts it again."""
        self.podman("kill", self.name(service))
        self.podman("start", self.name(service))

    def logs(self, service):
        done = subprocess.run(
            ["podman", "logs", self.name(service)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout

    def rounds(self, service):
        """The rounds that ended, as the container that follows the job printed them."""
        return [int(n) for n in re.findall(r"^round +(\d+) +closed", self.logs(service), re.M)]

    def await_round(self, service, number, seconds):
        until(
            lambda: max(self.rounds(service), default=0) >= number,
            seconds,
            lambda: f"{service} saw no round {number}:\n" + self.everything(),
        )

    def await_exit(self, service, seconds):
        until(
            lambda: not self.state(service)["Running"],
            seconds,
            lambda: f"{service} goes on:\n{self.logs(service)[-1500:]}",
        )

    def state(self, service):
        return json.loads(self.podman("inspect", self.name(service)))[0]["State"]

    def containers(self, check=True):
        only = f"name={self.project}_"
        found = self.podman("ps", "--all", "--format", "json", "--filter", only, check=check)
        return json.loads(found or "[]")

    def volume(self, name):
        """Where a volume's files are on this machine."""
        found = json.loads(self.podman("volume", "inspect", f"{self.project}_{name}"))
        return Path(found[0]["Mountpoint"])

    def everything(self):
        """The end of each container's log, for a failure's message."""
        text = []
        for container in self.containers():
            service = container["Names"][0].removeprefix(f"{self.project}_")[:-2]
            text.append(f"== {service}: {container['Status']}\n{self.logs(service)[-1500:]}")
        return "\n".join(text)

    def _check_health(self):
        """Does what systemd's timers do elsewhere: Podman itself has no clock."""
        while not self.ends.wait(1):
            for container in self.containers(check=False):
                if "(" in container["Status"] and container["State"] == "running":
                    self.podman("healthcheck", "run", container["Names"][0], check=False)
