"""Overlays of cluster/kuberay, rendered by kustomize: accepted by every schema, confined, bounded, without secrets."""

import copy
import re
from collections.abc import Callable
from importlib import metadata
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray._private.ray_constants import RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S

from tests.kubernetes import CRDS, KUBERAY, OVERLAYS, ROOT, check, cluster_spec, one, overlay, rendered, templates

OBJECTS = [(name, item) for name in OVERLAYS for item in overlay(name)]
TEMPLATES = [
    pytest.param(role, template, id=f"{name}-{item['kind']}-{role}")
    for name, item in OBJECTS
    for role, template in templates(item).items()
]


@pytest.mark.parametrize(
    "item", [pytest.param(item, id=f"{name}-{item['kind']}-{item['metadata']['name']}") for name, item in OBJECTS]
)
def test_object_is_accepted(item: dict[str, Any]) -> None:
    check(item)
    assert item["kind"] == "Namespace" or item["metadata"]["namespace"] == "halluc-ray"


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
def test_broken_manifest_is_refused(spoil: Callable[[dict[str, Any]], None], complaint: str) -> None:
    job = copy.deepcopy(one(overlay("prod"), "RayJob"))
    spoil(job)
    refusals = (jsonschema.ValidationError, AssertionError, kubernetes_validate.ValidationError, KeyError)
    with pytest.raises(refusals) as refused:
        check(job)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(("role", "template"), TEMPLATES)
def test_pods_are_confined_and_bounded(role: str, template: dict[str, Any]) -> None:
    pod = template["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is (role in ("head", "nightly")), "a token only where it is used"
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == "halluc-ray", "network policies find it"
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) >= {"cpu", "memory"}
        assert set(container["resources"]["requests"]) == set(container["resources"]["limits"])
    if role not in ("submitter", "nightly"):
        assert pod["terminationGracePeriodSeconds"] > RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume)


@pytest.mark.parametrize("name", OVERLAYS)
def test_image_is_one_pinned_tag_of_this_version(name: str) -> None:
    images = {
        container["image"]
        for item in overlay(name)
        for template in templates(item).values()
        for container in template["spec"]["containers"]
    }
    assert len(images) == 1
    assert re.fullmatch(rf"\S*halluc-ray:{re.escape(metadata.version('halluc-ray'))}-(cpu|cuda)", images.pop())


def test_tag_is_written_in_kustomizations_only() -> None:
    tagged = {
        path.relative_to(KUBERAY).as_posix()
        for path in KUBERAY.rglob("*.yaml")
        if metadata.version("halluc-ray") in path.read_text()
    }
    assert tagged == {"base/kustomization.yaml", "overlays/dev/kustomization.yaml"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_secret_is_in_it(name: str) -> None:
    objects = overlay(name)
    assert [item for item in objects if item["kind"] == "Secret"] == []
    written = [
        entry["name"]
        for item in objects
        for template in templates(item).values()
        for container in template["spec"]["containers"]
        for entry in container.get("env", [])
        if "value" in entry and re.search(r"KEY|SECRET|TOKEN|PASSWORD", entry["name"])
    ]
    assert written == []
    assert set(one(objects, "ConfigMap", "halluc-ray-store")["data"]) == {"AWS_DEFAULT_REGION"}


def test_ray_versions_agree_with_the_installed_one() -> None:
    specs = [cluster_spec(item) for _, item in OBJECTS if item["kind"] in CRDS]
    assert {spec["rayVersion"] for spec in specs} == {metadata.version("ray")}


def test_every_kind_has_the_pods_of_the_cluster() -> None:
    dev = overlay("dev")
    assert one(dev, "RayJob")["spec"]["rayClusterSpec"] == one(dev, "RayCluster")["spec"]
    job = one(overlay("prod"), "RayJob")["spec"]
    scheduled = one(overlay("raycronjob"), "RayCronJob")["spec"]["jobTemplate"]
    said = ("suspend", "entrypoint")
    assert {key: value for key, value in scheduled.items() if key not in said} == {
        key: value for key, value in job.items() if key not in said
    }
    spot, on_demand = (group["template"]["spec"] for group in job["rayClusterSpec"]["workerGroupSpecs"])
    assert {**spot, "nodeSelector": None} == {**on_demand, "nodeSelector": None}


def differences(left: Any, right: Any, path: str = "") -> set[str]:
    """Paths of values that differ between two objects; items of lists by position."""
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        left, right = dict(enumerate(left)), dict(enumerate(right))
    if isinstance(left, dict) and isinstance(right, dict):
        keys = left.keys() | right.keys()
        found = (differences(left.get(key), right.get(key), f"{path}/{key}") for key in keys)
        return set().union(*found)
    return set() if left == right else {path}


def test_overlays_change_what_they_say_and_nothing_else() -> None:
    base = {(item["kind"], item["metadata"]["name"]): item for item in rendered("base")}
    image = r"/spec/.*/containers/0/image"
    said = {
        ("dev", "CronJob"): rf"/spec/suspend|{image}",
        ("dev", "RayJob"): rf"/spec/rayClusterSpec|{image}",
        (
            "dev",
            "RayCluster",
        ): rf"{image}|.*/resources/(requests|limits)/.*|.*/workerGroupSpecs/0/(groupName|maxReplicas"
        r"|rayStartParams/resources|template/spec/(nodeSelector|tolerations|volumes/1/emptyDir/sizeLimit))",
        ("prod", "CronJob"): image,
        ("prod", "RayJob"): rf"/spec/rayClusterSpec|{image}",
    }
    for name in OVERLAYS:
        for item in overlay(name):
            counterpart = base.get((item["kind"], item["metadata"]["name"]))
            if counterpart is None:
                assert item["kind"] == "RayCronJob"
                continue
            expected = said.get((name, item["kind"]), "nothing")
            assert {path for path in differences(counterpart, item) if not re.fullmatch(expected, path)} == set()


def test_an_overlay_has_and_lacks_what_it_says() -> None:
    named = {
        name: {(item["kind"], item["metadata"]["name"].rsplit("-", 1)[0]) for item in overlay(name)}
        for name in OVERLAYS
    }
    assert named["dev"] - named["prod"] == {("RayCluster", "halluc")}
    assert named["prod"] - named["dev"] == set()
    assert {kind for kind, _ in named["raycronjob"] - named["prod"]} == {"RayCronJob"}
    assert {kind for kind, _ in named["prod"] - named["raycronjob"]} == {
        "CronJob",
        "RayJob",
        "Role",
        "RoleBinding",
        "ConfigMap",
    }
    assert one(overlay("dev"), "CronJob")["spec"]["suspend"] is True
    assert "suspend" not in one(overlay("prod"), "CronJob")["spec"]


def test_components_that_policies_name_are_components_of_pods() -> None:
    named = set(re.findall(r"component: (\w+)", (KUBERAY / "base" / "network.yaml").read_text())) | {"worker"}
    labels = {
        template["metadata"]["labels"]["app.kubernetes.io/component"]
        for item in overlay("prod")
        for template in templates(item).values()
    }
    assert labels == {"head", "worker", "submitter", "nightly"}
    assert named <= labels


def test_nothing_is_let_in_but_ray_dashboard_and_metrics() -> None:
    policies = [item["spec"] for item in overlay("prod") if item["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    doors = [(rule, policy) for policy in policies for rule in policy.get("ingress", [])]
    assert sorted(port["port"] for rule, _ in doors for port in rule.get("ports", [])) == [8080, 8265]
    assert all("from" in rule for rule, _ in doors)


def test_readme_commands_name_overlays_that_are_there() -> None:
    text = (KUBERAY / "README.md").read_text()
    folders = set(re.findall(r"cluster/kuberay/overlays/\w+", text))
    assert folders == {f"cluster/kuberay/overlays/{name}" for name in OVERLAYS}
    assert all((ROOT / folder / "kustomization.yaml").is_file() for folder in folders)
    secret = yaml.safe_load((KUBERAY / "base" / "cluster.yaml").read_text().split("---")[0])
    named = secret["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["envFrom"][1]["secretRef"]["name"]
    assert f"secret generic {named}" in text
