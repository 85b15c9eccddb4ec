"""The nightly's RayJob: made once for a scheduled date, within what its Role allows, of the template that is there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api_server import RAYJOBS, ApiServer, serving
from tests.kubernetes import KUBERAY, ROOT, check, one, overlay

SCRIPT = KUBERAY / "base" / "create_rayjob.py"
# 2026-11-24, 02:00 UTC.
MINUTES = 29_924_760


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    template = one(overlay("prod"), "RayJob")
    with serving(ApiServer({"halluc-ray-evaluate": template}), folder=tmp_path) as server:
        yield server


def create(api: ApiServer, *, job_name: str, uid: str = "uid-1") -> subprocess.CompletedProcess[str]:
    """What the container of the CronJob's pod runs, with its environment."""
    container = one(overlay("prod"), "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["python", f"/scripts/{SCRIPT.name}"]
    written = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    fields = {entry["name"] for entry in container["env"]} - set(written)
    assert fields == {"NAMESPACE", "JOB_NAME", "JOB_UID"}
    told = {"NAMESPACE": "halluc-ray", "JOB_NAME": job_name, "JOB_UID": uid}
    return subprocess.run(
        [sys.executable, "-I", SCRIPT],
        env={**api.environment, **written, **told, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_night_is_made_of_the_template(api: ApiServer) -> None:
    done = create(api, job_name=f"halluc-ray-nightly-{MINUTES}")
    assert (done.returncode, done.stderr) == (0, "")
    night = api.rayjobs["halluc-ray-nightly-2026-11-24"]
    template = api.rayjobs["halluc-ray-evaluate"]
    assert night["spec"] == {
        **template["spec"],
        "suspend": False,
        "entrypoint": "python -m jobs.nightly s3://evals/suites/qa.yaml --date 2026-11-24",
    }
    assert night["metadata"]["annotations"] == {"ray.io/disable-provisioned-head-restart": "true"}
    assert night["metadata"]["labels"]["scheduled-date"] == "2026-11-24"
    assert night["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": f"halluc-ray-nightly-{MINUTES}", "uid": "uid-1"}
    ]
    check(night)


def test_a_second_try_makes_no_second_rayjob(api: ApiServer) -> None:
    api.fail_after_create = True
    first = create(api, job_name=f"halluc-ray-nightly-{MINUTES}")
    assert first.returncode != 0
    assert "503" in first.stderr
    made = dict(api.rayjobs)
    second = create(api, job_name=f"halluc-ray-nightly-{MINUTES}")
    assert (second.returncode, second.stdout) == (0, "halluc-ray-nightly-2026-11-24 is there already\n")
    assert api.rayjobs == made


def test_a_night_can_be_named_by_hand(api: ApiServer) -> None:
    assert create(api, job_name="halluc-ray-nightly-2026-11-23").returncode == 0
    assert api.rayjobs["halluc-ray-nightly-2026-11-23"]["spec"]["entrypoint"].endswith("--date 2026-11-23")


@pytest.mark.parametrize(
    ("job_name", "complaint"), [("halluc-ray-nightly-again", "names no night"), ("nightly-2026-11-24", "is not of")]
)
def test_what_can_not_be_the_night_is_refused(api: ApiServer, job_name: str, complaint: str) -> None:
    api.rayjobs["nightly-2026-11-24"] = {"metadata": {"labels": {"scheduled-date": "2026-11-20"}}}
    done = create(api, job_name=job_name)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_another_server_is_not_trusted(api: ApiServer, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with serving(ApiServer({}), folder=other) as stranger:
        api.environment["KUBERNETES_SERVICE_PORT"] = stranger.environment["KUBERNETES_SERVICE_PORT"]
        assert "CERTIFICATE_VERIFY_FAILED" in create(api, job_name=f"halluc-ray-nightly-{MINUTES}").stderr
    assert stranger.requests == []


def test_role_allows_what_is_asked_and_no_more(api: ApiServer) -> None:
    create(api, job_name=f"halluc-ray-nightly-{MINUTES}")
    create(api, job_name=f"halluc-ray-nightly-{MINUTES}")
    asked = {"get" if method == "GET" else "create" for method, _ in api.requests}
    assert all(path.startswith(RAYJOBS) for _, path in api.requests)
    role = one(overlay("prod"), "Role")
    assert role["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": sorted(asked, reverse=True)}]
    binding = one(overlay("prod"), "RoleBinding")
    pod = one(overlay("prod"), "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [pod["serviceAccountName"]]


def test_schedule_never_has_two_of_a_night() -> None:
    spec = one(overlay("prod"), "CronJob")["spec"]
    assert (spec["concurrencyPolicy"], spec["timeZone"]) == ("Forbid", "Etc/UTC")
    job = one(overlay("prod"), "RayJob")["spec"]
    attempts = job["backoffLimit"] + 1
    pending = job["preRunningDeadlineSeconds"]
    assert pending < job["activeDeadlineSeconds"]
    last_end = spec["startingDeadlineSeconds"] + attempts * job["activeDeadlineSeconds"]
    assert last_end <= 24 * 3600, "a night that begins late ends before the next begins"


@pytest.mark.parametrize("name", ["prod", "raycronjob"])
def test_a_lost_head_never_has_its_job_submitted_again(name: str) -> None:
    objects = overlay(name)
    manifest = one(objects, "RayJob" if name == "prod" else "RayCronJob")
    job = manifest["spec"].get("jobTemplate", manifest["spec"])
    assert job["submissionMode"] == "K8sJobMode"
    assert job["submitterConfig"] == {"backoffLimit": 0}
    assert job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["shutdownAfterJobFinishes"]
    if name == "prod":
        assert manifest["metadata"]["annotations"] == {"ray.io/disable-provisioned-head-restart": "true"}


def test_entrypoints_are_modules_that_are_there() -> None:
    entrypoints = [
        one(overlay("prod"), "RayJob")["spec"]["entrypoint"],
        one(overlay("raycronjob"), "RayCronJob")["spec"]["jobTemplate"]["entrypoint"],
    ]
    for entrypoint in entrypoints:
        module = re.fullmatch(r"python -m ([\w.]+) s3://\S+\.yaml", entrypoint)
        assert module is not None
        assert (ROOT / Path(*module[1].split("."))).with_suffix(".py").is_file()
