"""The Kubernetes manifests and the `ray up` file, held to the operator's, Kubernetes' and Ray's own schemas."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import cel
import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "cluster" / "kuberay"
KINDS = {"raycluster.yaml": "rayclusters", "rayjob.yaml": "rayjobs"}
KUBERNETES = "1.34"


@pytest.fixture(scope="session")
def crds() -> dict[str, dict[str, Any]]:
    """OpenAPI schemas of the operator's v1 kinds, by plural name; skips where they are missing."""
    folder = Path(os.environ.get("HALLUC_RAY_KUBERAY") or ROOT.parent / "shared" / "kuberay")
    if not folder.is_dir():
        pytest.skip(f"no KubeRay CRDs at {folder}; set HALLUC_RAY_KUBERAY")
    found = {}
    for plural in KINDS.values():
        crd = yaml.load((folder / f"crd_{plural}.yaml").read_text(), Loader=yaml.CSafeLoader)
        found[plural] = next(v for v in crd["spec"]["versions"] if v["name"] == "v1")["schema"]["openAPIV3Schema"]
    return found


def strict(schema: Any) -> Any:
    """The schema with every key that it does not name refused, as the API server prunes or refuses it."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {
        key: {name: strict(value) for name, value in part.items()} if key == "properties" else strict(part)
        for key, part in schema.items()
        if key not in ("description", "format", "default")
    }
    if "properties" in made and "additionalProperties" not in made:
        made["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if made.get("nullable"):
        made["type"] = [made["type"], "null"]
    return made


def broken_rules(schema: dict[str, Any], value: Any) -> Iterator[str]:
    """CEL rules that the value breaks; rules about an update (`oldSelf`) don't apply to a new object."""
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" not in rule["rule"] and not cel.evaluate(rule["rule"], {"self": value}):
            yield rule["rule"]
    if isinstance(value, dict):
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if isinstance(inner, dict):
                yield from broken_rules(inner, item)
    elif isinstance(value, list):
        for item in value:
            yield from broken_rules(schema.get("items", {}), item)


def cluster_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]
    return spec["rayClusterSpec"] if manifest["kind"] == "RayJob" else spec


def groups(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    spec = cluster_spec(manifest)
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def check(manifest: dict[str, Any], schema: dict[str, Any]) -> None:
    """Raise unless the operator's schema, its rules and Kubernetes' pod schema all accept the manifest."""
    jsonschema.Draft202012Validator(
        {**strict(schema), "required": ["apiVersion", "kind", "metadata", "spec"]}
    ).validate(manifest)
    assert list(broken_rules(schema, manifest)) == []
    for group in groups(manifest):
        pod_template = {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {"name": "x"},
            "template": group["template"],
        }
        kubernetes_validate.validate(pod_template, KUBERNETES, strict=True)


def load(name: str) -> Any:
    return yaml.safe_load((MANIFESTS / name).read_text())


@pytest.mark.parametrize("name", sorted(KINDS))
def test_manifest_is_accepted(name: str, crds: dict[str, dict[str, Any]]) -> None:
    check(load(name), crds[KINDS[name]])


def _unknown_key(job: dict[str, Any]) -> None:
    job["spec"]["retries"] = 3


def _wrong_type(job: dict[str, Any]) -> None:
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicas"] = "eight"


def _nested_unknown_key(job: dict[str, Any]) -> None:
    job["spec"]["rayClusterSpec"]["autoscalerOptions"]["idleSeconds"] = 5


def _missing_head(job: dict[str, Any]) -> None:
    del job["spec"]["rayClusterSpec"]["headGroupSpec"]


def _bad_container(job: dict[str, Any]) -> None:
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Always"


def _bad_auth(job: dict[str, Any]) -> None:
    job["spec"]["rayClusterSpec"]["authOptions"]["mode"] = "password"


def _two_deletion_styles(job: dict[str, Any]) -> None:
    policy = {"policy": "DeleteCluster"}
    job["spec"]["deletionStrategy"] = {
        "onSuccess": policy,
        "onFailure": policy,
        "deletionRules": [{"policy": "DeleteCluster", "condition": {"jobStatus": "FAILED", "ttlSeconds": 1}}],
    }


BREAKS = {
    _unknown_key: "'retries' was unexpected",
    _wrong_type: "'eight' is not of type 'integer'",
    _nested_unknown_key: "'idleSeconds' was unexpected",
    _missing_head: "'headGroupSpec' is a required property",
    _bad_container: "imagePolicy",
    _bad_auth: "'password' is not one of",
    _two_deletion_styles: "self.deletionRules",
}


@pytest.mark.parametrize(("spoil", "complaint"), BREAKS.items())
def test_broken_manifest_is_refused(
    spoil: Callable[[dict[str, Any]], None], complaint: str, crds: dict[str, dict[str, Any]]
) -> None:
    job = copy.deepcopy(load("rayjob.yaml"))
    spoil(job)
    with pytest.raises((jsonschema.ValidationError, AssertionError, kubernetes_validate.ValidationError)) as refused:
        check(job, crds["rayjobs"])
    assert complaint in str(refused.value)


def test_core_kinds_are_accepted() -> None:
    kubernetes_validate.validate(load("store.yaml"), KUBERNETES, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**load("store.yaml"), "datum": {}}, KUBERNETES, strict=True)


def test_kustomization_names_files_that_are_there() -> None:
    assert all((MANIFESTS / name).is_file() for name in load("kustomization.yaml")["resources"])


@pytest.mark.parametrize("name", sorted(KINDS))
def test_ray_versions_agree_with_the_installed_one(name: str) -> None:
    installed = metadata.version("ray")
    assert cluster_spec(load(name))["rayVersion"] == installed
    for file in (MANIFESTS / "Dockerfile", ROOT / "cluster" / "ray" / "cluster.yaml"):
        assert re.findall(r"rayproject/ray:([\d.]+)", file.read_text()) == [installed]


def test_job_runs_a_module_that_is_there_and_ends_by_itself() -> None:
    spec = load("rayjob.yaml")["spec"]
    module = re.match(r"python -m ([\w.]+) s3://\S+\.yaml$", spec["entrypoint"])
    assert module is not None
    assert (ROOT / Path(*module[1].split("."))).with_suffix(".py").is_file()
    assert spec["shutdownAfterJobFinishes"]
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["backoffLimit"] > 0


@pytest.mark.parametrize("name", sorted(KINDS))
def test_containers_are_confined_and_bounded(name: str) -> None:
    for group in groups(load(name)):
        assert group["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in group["template"]["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["resources"]["requests"] == container["resources"]["limits"]


def in_ray(program: str, *arguments: str) -> Any:
    """JSON that a program prints; Ray is loaded in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


NODE_TYPES = """
import json, sys, yaml
from ray.autoscaler._private.kuberay import autoscaling_config
manifest = {"metadata": {"name": "c", "namespace": "n"}, "spec": json.loads(sys.argv[1])}
print(json.dumps(autoscaling_config._derive_autoscaling_config_from_ray_cr(manifest)["available_node_types"]))
"""


def test_rays_autoscaler_sees_gpu_workers_from_zero() -> None:
    types = in_ray(NODE_TYPES, json.dumps(cluster_spec(load("raycluster.yaml"))))
    worker = types["gpu"]
    assert (worker["min_workers"], worker["max_workers"]) == (0, 8)
    assert {key: worker["resources"][key] for key in ("CPU", "GPU", "accelerator_type:L4")} == {
        "CPU": 6,
        "GPU": 1,
        "accelerator_type:L4": 1,
    }
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert "GPU" not in types["headgroup"]["resources"]


RAY_UP = """
import json, sys
from ray.autoscaler._private.util import prepare_config, validate_config
config = prepare_config(json.loads(sys.argv[1]))
validate_config(config)
print(json.dumps(config))
"""


def test_ray_up_file_is_accepted_by_ray() -> None:
    config = yaml.safe_load((ROOT / "cluster" / "ray" / "cluster.yaml").read_text())
    accepted = in_ray(RAY_UP, json.dumps(config))
    assert accepted["available_node_types"]["gpu_worker"]["resources"]["GPU"] == 1
    with pytest.raises(RuntimeError, match="gpus_per_node"):
        in_ray(RAY_UP, json.dumps({**config, "gpus_per_node": 1}))
