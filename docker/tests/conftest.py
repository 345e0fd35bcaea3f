# SPDX-License-Identifier: Apache-2.0
"""A release, its images, and official images' stand-ins, built once for all tests."""

import hashlib
import os
import re
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
    [
        "tributary-cli",
        "operators-",
        "sources-",
        "shm-connector-",
        "trainer-client-",
        "flink-job-",
        "testbed-",
        "hivemq",
        "picocli",
        "flink-connector-kafka",
        "flink-connector-base",
        "kafka",
        "scala",
        "nd4j",
        "protocol-",
        "transport-",
        "memory-",
        "node-",
        "openblas",
        "javacpp",
        "rocksdbjni",
        "jackson",
        "jna",
        "lz4",
        "snappy",
        "zstd",
        "org.eclipse.paho",
        "snakeyaml-2",
    ]
)


# Where Maven Central and PyPI are reached; the tests themselves run without a network.
OUTSIDE = ("nsenter", f"--net=/proc/{os.getpid()}/fd/9")


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
    out = tmp_path_factory.mktemp("out")
    return Path(run(*OUTSIDE, ROOT / "tributary", "release", "--out", out).strip())


@pytest.fixture(scope="session")
def release(tarball, tmp_path_factory):
    """The directory of the unpacked release; tests change its configuration."""
    return unpack(tarball, tmp_path_factory.mktemp("release"))


def unpack(tarball, directory):
    """Unpacks a release, and returns its directory."""
    with tarfile.open(tarball) as files:
        files.extractall(directory, filter="tar")
    return next(directory.glob("tributary-*"))


def of_flink(name):
    """A jar of Flink's distribution that a release does not have, from Maven Central."""
    version = re.search("<flink.version>(.*)</", (ROOT / "pom.xml").read_text()).group(1)
    return maven_jar(name, version)


def maven_jar(name, version):
    maven = shutil.which("mvn") or ROOT / "mvnw"
    artifact = f"-Dartifact=org.apache.flink:{name}:{version}"
    run(*OUTSIDE, maven, "-B", "-q", "dependency:get", "-Dtransitive=false", artifact, cwd=ROOT)
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
            run(
                *OUTSIDE,
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={PACKAGES}",
                "bookworm",
                part,
            )
            part.rename(root)
        run("podman", "import", root, name)
    return name


def build_options():
    """What a build needs on this machine. What reaches PyPI from here reaches it from the build."""
    options = ["--isolation", "chroot", "--format", "docker", "--layers"]
    for path in ("/etc/ssl/certs", "/etc/pip.conf"):
        options += ["--volume", f"{path}:{path}:ro"] if os.path.exists(path) else []
    return options


@pytest.fixture(scope="session")
def images(release):
    """Builds all images of the release. Returns the variables that name others in compose.yaml."""
    base = base_image()
    standins = release / "standins"
    shutil.copytree(STANDINS, standins)
    lib, plugins = standins / "flink/lib", standins / "flink/plugins"
    lib.mkdir()
    plugins.mkdir()
    for jar in (release / "lib").glob("*.jar"):
        if not jar.name.startswith(NOT_FLINKS):
            os.link(jar, lib / jar.name)
    shutil.copy(of_flink("flink-metrics-prometheus"), plugins)
    shutil.copy(of_flink("flink-container"), lib)
    for target in ("flink", "kafka", "mosquitto", "prometheus", "python"):
        run(*OUTSIDE, "podman", "build", "--quiet", *build_options(), "--build-arg", f"BASE={base}",
            "--file", standins / "Dockerfile", "--target", target,
            "--tag", f"tributary-standin/{target}", release)  # fmt: skip
    shutil.rmtree(standins)
    bases = {"FLINK": "tributary-standin/flink", "JRE": base, "PYTHON": "tributary-standin/python"}
    arguments = [word for name in bases for word in ("--build-arg", f"{name}={bases[name]}")]
    environment = {**os.environ, "CONTAINER_ENGINE": "podman"}
    run(*OUTSIDE, release / "docker/build", *build_options(), *arguments, env=environment)
    return {
        f"{name.upper()}_IMAGE": f"tributary-standin/{name}"
        for name in ("mosquitto", "kafka", "prometheus")
    }
