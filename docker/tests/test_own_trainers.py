# SPDX-License-Identifier: Apache-2.0
"""The images that docker/README.md shows for trainers of one's own."""

import re
import subprocess

import pytest

from conftest import ROOT, build_options, run
from federation import RUN_ARGS

JAVA = """
package org.example;

public class Trainer {
    public static void main(String[] arguments) {
        io.tributary.trainer.TrainerTransport.of(arguments[0]);
        System.out.println("tributary " + arguments[0]);
    }
}
"""
PYTHON = """
import sys

import tributary
print(tributary.__name__, sys.argv[1])
"""


def compile_java(release, directory):
    """Makes trainer.jar, with the jars that the README names."""
    source = directory / "Trainer.java"
    source.write_text(JAVA)
    run("javac", "-cp", f"{release}/java/*", "-d", directory / "classes", source)
    run("jar", "--create", "--file", directory / "trainer.jar", "-C", directory / "classes", ".")


@pytest.mark.parametrize("language", ["python", "java"])
def test_a_trainer_of_ones_own(release, images, tmp_path, language):
    page = (ROOT / "docker/README.md").read_text()
    files = re.findall("```dockerfile\n(.*?)```", page, re.DOTALL)
    (file,) = [f for f in files if f.startswith(f"FROM tributary-trainer-{language}\n")]
    (tmp_path / "Dockerfile").write_text(file)
    (tmp_path / "trainer.py").write_text(PYTHON)
    compile_java(release, tmp_path)
    name = f"tributary-own-{language}"
    run("podman", "build", "--quiet", *build_options(), "--tag", name, tmp_path)
    done = subprocess.run(
        ["podman", "run", "--rm", *RUN_ARGS.split(), "--network", "none", name],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "tributary mqtt://broker:1883\n"
