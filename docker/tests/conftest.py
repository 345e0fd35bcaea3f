# SPDX-License-Identifier: Apache-2.0
"""A release, its images, and official images' stand-ins, built once for all tests."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STANDINS = Path(__file__).parent / "standins"

# What Flink and the brokers run on. The JRE has no compiler, and there is no Maven.
PACKAGES = (
    "openjdk-17-jre-headless,python3,python3-pip,mosquitto,prometheus,gettext-base,libbpf1,"
    "procps,ca-certificates"
)

# Of a release's lib/: what is not Flink's, because it is in the job's image or on no cluster.
NOT_FLINKS = tuple(
    "tributary-cli operators- sources- shm-connector- trainer-client- flink-job- testbed- hivemq "
    "picocli flink-connector-kafka flink-connector-base kafka scala nd4j protocol- transport- memory- node- openblas javacpp "
    "rocksdbjni jackson jna lz4 snappy zstd org.eclipse.paho snakeyaml-2".split()
)

TARGETS = ("job", "cli", "agent", "trainer-java", "trainer-python")


def run(*command, **options):
    """Runs a command and returns its output; a failure shows what it said."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, **options
    )
    said = (done.stdout + done.stderr)[-4000:]
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit {done.returncode}\n{said}"
    return done.stdout


@pytest.fixture(scope="session")
def tarball(tmp_path_factory):
    """The tarball of a release: TRIBUTARY_RELEASE, or one that is built of this checkout."""
    given = os.environ.get("TRIBUTARY_RELEASE")
    if given:
        return Path(given)
    return Path(run(ROOT / "tributary", "release", "--out", tmp_path_factory.mktemp("out")).strip())


@pytest.fixture(scope="session")
def release(tarball, tmp_path_factory):
    """The directory of the unpacked release."""
    directory = tmp_path_factory.mktemp("release")
    with tarfile.open(tarball) as files:
        files.extractall(directory, filter="tar")
    return next(directory.glob("tributary-*"))


@pytest.fixture(scope="session")
def flink_metrics():
    """Flink's reporter for Prometheus, which its official image has as a plug-in."""
    version = next(
        line.split("flink.version>")[1].split("<")[0]
        for line in (ROOT / "pom.xml").read_text().splitlines()
        if "<flink.version>" in line
    )
    name = "flink-metrics-prometheus"
    artifact = f"org.apache.flink:{name}:{version}"
    run(shutil.which("mvn") or ROOT / "mvnw", "-B", "-q", "dependency:get", "-Dtransitive=false",
        f"-Dartifact={artifact}", cwd=ROOT)  # fmt: skip
    jar = f"org/apache/flink/{name}/{version}/{name}-{version}.jar"
    return Path.home() / ".m2/repository" / jar


def base_image():
    """Debian with what the stand-ins run on, made once on a machine."""
    name = f"tributary-standin/base:{hashlib.sha256(PACKAGES.encode()).hexdigest()[:12]}"
    if subprocess.run(["podman", "image", "exists", name]).returncode:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tributary"
        cache.mkdir(parents=True, exist_ok=True)
        root = cache / f"{name.rsplit(':')[-1]}.tar"
        if not root.exists():
            part = root.with_suffix(".part.tar")
            run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", part)
            part.rename(root)
        run("podman", "import", root, name)
    return name


def build(file, target, tag, context, **arguments):
    """Builds an image. What reaches PyPI from here reaches it from the build."""
    line = ["buildah", "bud", "--quiet", "--isolation", "chroot", "--format", "docker", "--layers"]
    for path in ("/etc/ssl/certs", "/etc/pip.conf"):
        line += ["--volume", f"{path}:{path}:ro"] if os.path.exists(path) else []
    for name, value in arguments.items():
        line += ["--build-arg", f"{name}={value}"]
    run(*line, "--file", file, "--target", target, "--tag", tag, context)


@pytest.fixture(scope="session")
def images(release, flink_metrics):
    """Builds all images of the release. Returns the variables that name them in compose.yaml."""
    base = base_image()
    standins = release / "standins"
    shutil.copytree(STANDINS, standins)
    lib, plugins = standins / "flink/lib", standins / "flink/plugins"
    lib.mkdir()
    plugins.mkdir()
    for jar in (release / "lib").glob("*.jar"):
        if not jar.name.startswith(NOT_FLINKS):
            os.link(jar, lib / jar.name)
    shutil.copy(flink_metrics, plugins)
    for target in ("flink", "kafka", "mosquitto", "prometheus", "python"):
        build(standins / "Dockerfile", target, f"tributary-standin/{target}", release, BASE=base)
    shutil.rmtree(standins)
    for target in TARGETS:
        build(
            release / "docker/Dockerfile", target, f"tributary-test/{target}", release,
            FLINK="tributary-standin/flink", JRE=base, PYTHON="tributary-standin/python",
        )  # fmt: skip
    return {
        **{f"TRIBUTARY_{t.upper().replace('-', '_')}_IMAGE": f"tributary-test/{t}" for t in TARGETS},
        **{f"{t.upper()}_IMAGE": f"tributary-standin/{t}" for t in ("mosquitto", "kafka", "prometheus")},
    }
