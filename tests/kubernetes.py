"""Rendered manifests, and what judges them: kustomize, the operator's schemas and rules, Kubernetes' own schemas.

The operator's CRDs are read from a folder beside the checkout, or the one that HALLUC_RAY_KUBERAY names.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cel
import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[1]
KUBERAY = ROOT / "cluster" / "kuberay"
OVERLAYS = ("dev", "prod", "raycronjob")
CRDS = {"RayCluster": "rayclusters", "RayJob": "rayjobs", "RayCronJob": "raycronjobs"}
KUBERNETES = "1.34"


@cache
def rendered(folder: str) -> list[dict[str, Any]]:
    """Objects that kustomize makes of a folder below cluster/kuberay."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", KUBERAY / folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kustomize warns of nothing"
    return list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


def overlay(name: str) -> list[dict[str, Any]]:
    return rendered(f"overlays/{name}")


def one(objects: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    """The only object of a kind (and name)."""
    found = [item for item in objects if item["kind"] == kind and name in (None, item["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


@cache
def operator_schema(kind: str) -> dict[str, Any]:
    """OpenAPI schema of one of the operator's kinds; skips where the CRDs are missing."""
    folder = Path(os.environ.get("HALLUC_RAY_KUBERAY") or ROOT.parent / "shared" / "kuberay")
    if not folder.is_dir():
        pytest.skip(f"no KubeRay CRDs at {folder}; set HALLUC_RAY_KUBERAY")
    crd = yaml.load((folder / f"crd_{CRDS[kind]}.yaml").read_text(), Loader=yaml.CSafeLoader)
    schema = next(version for version in crd["spec"]["versions"] if version["name"] == "v1")["schema"]
    found: dict[str, Any] = schema["openAPIV3Schema"]
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
    """The Ray cluster's spec in one of the operator's kinds."""
    spec: dict[str, Any] = manifest["spec"]
    job = spec.get("jobTemplate", spec)
    found: dict[str, Any] = job.get("rayClusterSpec", job)
    return found


def templates(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Pod templates in an object, by role."""
    spec: dict[str, Any] = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        return {"nightly": spec["jobTemplate"]["spec"]["template"]}
    if manifest["kind"] not in CRDS:
        return {}
    cluster, job = cluster_spec(manifest), spec.get("jobTemplate", spec)
    found = {"head": cluster["headGroupSpec"]["template"]}
    found |= {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return found | ({"submitter": job["submitterPodTemplate"]} if "submitterPodTemplate" in job else {})


def check(manifest: dict[str, Any]) -> None:
    """Raise unless the schemas and rules that apply to the object accept it."""
    if manifest["kind"] not in CRDS:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        return
    schema = operator_schema(manifest["kind"])
    named = {**strict(schema), "required": ["apiVersion", "kind", "metadata", "spec"]}
    jsonschema.Draft202012Validator(named).validate(manifest)
    broken = list(broken_rules(schema, manifest))
    assert broken == [], f"rules that it breaks: {broken}"
    for template in templates(manifest).values():
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
