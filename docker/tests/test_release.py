# SPDX-License-Identifier: Apache-2.0
"""What a release has, that it is reproducible, and that it runs with a Java runtime alone."""

import hashlib
import json
import os
import subprocess
import zipfile

import pytest

from conftest import ROOT, base_image, run, unpack

OURS = [
    "protocol",
    "transport",
    "memory",
    "node",
    "sources",
    "shm-connector",
    "operators",
    "trainer-client",
    "trainer-testing",
    "flink-job",
    "testbed",
    "cli",
]


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_each_file_has_its_checksum(tarball, tmp_path):
    release = unpack(tarball, tmp_path)
    run("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=release)
    listed = {line.split("  ", 1)[1] for line in (release / "SHA256SUMS").read_text().splitlines()}
    found = {str(f.relative_to(release)) for f in release.rglob("*") if f.is_file()}
    assert listed == found - {"SHA256SUMS"}


def test_it_has_what_the_docs_say(release):
    page = (release / "docs/releasing.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    named = [
        n for row in rows for n in row.split("|")[1].replace("`", "").replace(" ", "").split(",")
    ]
    assert "flink/lib/" in named
    assert [name for name in named if not (release / name).exists()] == []
    with zipfile.ZipFile(next((release / "lib").glob("memory-*.jar"))) as jar:
        natives = {name for name in jar.namelist() if name.endswith("libtributary.so")}
    assert {name.split("/")[-2] for name in natives} == {"linux-x86-64", "linux-aarch64"}


def test_another_build_has_the_same_bytes(release):
    """The checkout's own build was made elsewhere and at another time."""
    version = (release / "RELEASE").read_text().split()[1]
    built = {m: ROOT / m / "target" / f"{m}-{version}.jar" for m in OURS[:9]}
    built["flink"] = ROOT / "flink-job/target/tributary-flink-job.jar"
    if not all(file.exists() for file in built.values()):
        assert "TRIBUTARY_REQUIRE_PYTHON" not in os.environ, "the checkout is not built"
        pytest.skip("the checkout is not built: ./tributary test -Pall-processors")
    with zipfile.ZipFile(built["memory"]) as jar:
        if not any("aarch64" in name for name in jar.namelist()):
            pytest.skip(
                "the checkout is built for one processor: ./tributary test -Pall-processors"
            )
    released = {
        f.name: sha256(f) for d in ("lib", "java", "flink") for f in (release / d).glob("*.jar")
    }
    different = [f.name for f in built.values() if released[f.name] != sha256(f)]
    assert different == []


def test_the_bill_of_materials_has_each_library(release):
    bill = json.loads((release / "sbom.cdx.json").read_text())
    hashes = {
        each["content"] for component in bill["components"] for each in component.get("hashes", [])
    }
    libraries = [
        jar
        for jar in sorted((release / "lib").glob("*.jar"))
        + sorted((release / "java").glob("*.jar"))
        if not jar.name.startswith((*[f"{name}-" for name in OURS], "tributary-"))
        or jar.name.startswith("transport-netty")
    ]
    assert len(libraries) > 100
    assert [jar.name for jar in libraries if sha256(jar) not in hashes] == []


def test_a_file_that_was_changed_is_named(tarball, images, tmp_path):
    changed = unpack(tarball, tmp_path)
    (changed / "LICENSE").write_text("another")
    done = subprocess.run(
        [changed / "docker/build", "--isolation", "chroot", "--build-arg", f"JRE={base_image()}",
         "--build-arg", "FLINK=tributary-standin/flink"],
        capture_output=True, text=True, env={**os.environ, "CONTAINER_ENGINE": "podman"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "LICENSE: FAILED" in done.stderr


def test_it_runs_with_a_java_runtime_alone(images):
    command = ["podman", "run", "--rm", "--cgroups=disabled", "--ulimit", "nofile=1024:1024"]
    command += ["--ulimit", "nproc=4096:4096", "--network", "none"]
    image = "tributary-cli"
    tools = run(*command, "--entrypoint", "sh", image, "-c", "ls /usr/bin /usr/lib/jvm/*/bin")
    assert not {"mvn", "javac", "clang", "gcc", "make"} & set(tools.split())
    assert "test accuracy" in run(*command, image, "demo", "--rounds", "2", "--ui-port", "0")
    for name in ("test", "bench", "release"):
        done = subprocess.run([*command, image, name], capture_output=True, text=True)
        assert done.returncode == 2
        assert (
            done.stderr == f"tributary: '{name}' needs a checkout of Tributary; this is a release\n"
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--out DIR is missing: where the release is to be"),
        (["--out"], "--out DIR is missing: where the release is to be"),
        (
            ["--out", "/proc/release"],
            "--out /proc/release: expected a directory that can be written to",
        ),
        (["--dir", "x"], "--dir: expected --out DIR"),
    ],
)
def test_bad_input_to_release(arguments, said):
    done = subprocess.run([ROOT / "packaging/release", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, f"tributary release: {said}\n")


def test_release_says_what_is_missing(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in (
        "bash",
        "env",
        "dirname",
        "readlink",
        "mkdir",
        "realpath",
        "git",
        "uname",
        "sed",
        "python3",
    ):
        (tools / tool).symlink_to(run("sh", "-c", f"command -v {tool}").strip())
    done = subprocess.run(
        [ROOT / "packaging/release", "--out", tmp_path / "out"],
        capture_output=True, text=True, env={**os.environ, "PATH": str(tools)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "on Debian: apt-get install clang make" in done.stderr
    assert len(done.stderr.splitlines()) == 1
