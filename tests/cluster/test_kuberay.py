"""cluster/kuberay against KubeRay's own schemas, strictly, and against what we promise of them.

`data/rayjob_v1.json.gz` is the `openAPIV3Schema` of version v1 in KubeRay's definition of a RayJob
(ray-project/kuberay, commit feeaf72fa, Apache-2.0), as JSON. An API server refuses a value of the
wrong type and, asked for strict validation as kubectl does, a field that the schema does not name.
"""

import gzip
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[2] / "cluster" / "kuberay"
SCHEMA = Path(__file__).with_name("data") / "rayjob_v1.json.gz"
NAMES = ("gpu.yaml", "tpu.yaml")


def strict(schema: Any) -> Any:
    """Turn OpenAPI as Kubernetes writes it into a JSON Schema that refuses unknown fields."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    with gzip.open(SCHEMA) as file:
        schema = strict(json.load(file))
    schema["properties"]["metadata"] = {"type": "object"}
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def job(name: str) -> dict[str, Any]:
    (found,) = [one for one in documents(name) if one["kind"] == "RayJob"]
    # A copy of its own for each place: YAML's anchors make one object of several.
    return yaml.safe_load(yaml.dump(found, Dumper=NoAliases))


class NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def pods(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    cluster = spec["rayClusterSpec"]
    found = {
        "submitter": spec["submitterPodTemplate"],
        "head": cluster["headGroupSpec"]["template"],
    }
    found |= {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {name: template["spec"] for name, template in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_job_is_valid(name: str, validator: Draft202012Validator) -> None:
    found = job(name)
    assert (found["apiVersion"], found["kind"]) == ("ray.io/v1", "RayJob")
    assert [error.message for error in validator.iter_errors(found)] == []


def test_every_file_is_tested() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(NAMES)


WRONG = {
    "a misspelt field of the job": (("backofLimit",), 3, "backofLimit"),
    "a misspelt field deep in a pod": (
        ("rayClusterSpec", "headGroupSpec", "template", "spec", "containers", 0, "imagePullPolice"),
        "Always",
        "imagePullPolice",
    ),
    "a number where a string belongs": (
        ("rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"),
        0,
        "is not of type 'string'",
    ),
    "a mode that there is not": (
        ("rayClusterSpec", "authOptions", "mode"),
        "password",
        "is not one of",
    ),
    "a list where a value belongs": (("backoffLimit",), [3], "is not of type 'integer'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistake_is_caught(case: str, validator: Draft202012Validator) -> None:
    path, value, message = WRONG[case]
    found = job("gpu.yaml")
    place: Any = found["spec"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (error,) = validator.iter_errors(found)
    assert message in error.message


@pytest.mark.parametrize("name", NAMES)
def test_missing_template_is_caught(name: str, validator: Draft202012Validator) -> None:
    found = job(name)
    del found["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    (error,) = validator.iter_errors(found)
    assert "'template' is a required property" in error.message


@pytest.mark.parametrize("name", NAMES)
def test_job_resumes_ends_and_needs_a_token(name: str) -> None:
    spec = job(name)["spec"]
    command = shlex.split(spec["entrypoint"])
    assert command[:2] == ["sweep-engine", "run"]
    assert command[-4:] == ["--backend", "ray", "--address", "auto"]
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"]
    assert spec["ttlSecondsAfterFinished"] > 0
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52, 0), "older has no token"
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP", "not open to the outside"
    assert "token" not in spec["entrypoint"].lower()


@pytest.mark.parametrize("name", NAMES)
def test_results_outlive_the_pods(name: str) -> None:
    """`--out` is in a bucket, or below a volume that all but the submitter have."""
    found = job(name)["spec"]
    words = shlex.split(found["entrypoint"])
    out = words[words.index("--out") + 1]
    if out.startswith(("s3://", "gs://")):
        return
    (claim,) = [one for one in documents(name) if one["kind"] == "PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for role, pod in pods(found).items():
        if role != "submitter":
            claimed = {
                volume["name"]
                for volume in pod["volumes"]
                if volume.get("persistentVolumeClaim", {}).get("claimName")
                == claim["metadata"]["name"]
            }
            mounts = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] in claimed]
            assert any(out.startswith(mount["mountPath"] + "/") for mount in mounts), role


def restricted(pod: dict[str, Any]) -> Iterator[str]:
    """What Kubernetes' Pod Security Standard `restricted` would refuse in this pod."""
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or context.get("runAsUser", 1) == 0:
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "no seccomp profile"
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    allowed = {"configMap", "csi", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    for volume in pod.get("volumes", []):
        if not allowed & set(volume):
            yield f"volume {volume['name']}"
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield "may gain privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield "has capabilities"


@pytest.mark.parametrize("name", NAMES)
def test_pods_are_restricted(name: str) -> None:
    for role, pod in pods(job(name)["spec"]).items():
        assert list(restricted(pod)) == [], role
        assert pod["automountServiceAccountToken"] is False, role


def test_unrestricted_pod_is_caught() -> None:
    pod = pods(job("gpu.yaml")["spec"])["head"]
    pod["containers"][0]["securityContext"]["capabilities"] = {"add": ["SYS_ADMIN"]}
    pod["hostNetwork"] = True
    assert list(restricted(pod)) == ["hostNetwork", "has capabilities"]


@pytest.mark.parametrize("name", NAMES)
def test_every_container_says_what_it_needs(name: str) -> None:
    for role, pod in pods(job(name)["spec"]).items():
        for container in pod["containers"]:
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), role
            assert resources["requests"]["memory"] == resources["limits"]["memory"] or (
                role == "submitter"
            ), "memory beyond the request gets a pod evicted"


@pytest.mark.parametrize(
    ("name", "device"), [("gpu.yaml", "nvidia.com/gpu"), ("tpu.yaml", "google.com/tpu")]
)
def test_accelerators_are_the_workers_alone(name: str, device: str) -> None:
    for role, pod in pods(job(name)["spec"]).items():
        for container in pod["containers"]:
            asked = [container["resources"][kind].get(device) for kind in ("requests", "limits")]
            if role in ("submitter", "head"):
                assert asked == [None, None]
            else:
                assert asked[0] is not None
                assert asked[0] == asked[1], "Kubernetes refuses another limit than the request"
    assert job(name)["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
