"""Makes the RayJob of one night out of the suspended one that is there, once for each scheduled date.

Knows the API server through the pod's service account, and nothing of Ray. Run by the Job of the CronJob
in nightly.yaml, whose name ends in the scheduled minute (`NAME-29380440`, minutes since 1970), or by
one made by hand whose name ends in a date (`NAME-2026-11-24`). That a date's RayJob exists already is success:
it is what an earlier try made.
"""

import datetime
import json
import os
import re
import shlex
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path(os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
DATE = re.compile(r"(?P<name>.+?)-(?:(?P<date>\d{4}-\d{2}-\d{2})|(?P<minutes>\d{8,}))$")
LIMIT_S = 30
ALREADY_THERE = 409


def name_and_date(job_name: str) -> tuple[str, datetime.date]:
    """The CronJob's name and the night's date (UTC) in the name of a Job."""
    found = DATE.match(job_name)
    if found is None:
        raise SystemExit(
            f"the Job {job_name} names no night: a CronJob's Jobs end in the scheduled minute; "
            "name one that you make yourself NAME-YYYY-MM-DD"
        )
    if found["date"]:
        return found["name"], datetime.date.fromisoformat(found["date"])
    return found["name"], datetime.datetime.fromtimestamp(int(found["minutes"]) * 60, tz=datetime.UTC).date()


def rayjob_of(template: dict[str, Any], *, job_name: str, job_uid: str, suite: str) -> dict[str, Any]:
    """The night's RayJob: the template's spec, awake, on the suite and its date; it goes with the Job that made it."""
    name, date = name_and_date(job_name)
    metadata = template["metadata"]
    kept = {key: value for key, value in metadata.get("annotations", {}).items() if key.startswith("ray.io/")}
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "metadata": {
            "name": f"{name}-{date}",
            "namespace": metadata["namespace"],
            "labels": {**metadata.get("labels", {}), "scheduled-date": str(date)},
            "annotations": kept,
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job_name, "uid": job_uid}],
        },
        "spec": {
            **template["spec"],
            "suspend": False,
            "entrypoint": f"python -m jobs.nightly {shlex.quote(suite)} --date {date}",
        },
    }


def ask(path: str, *, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The API server's answer to a GET, or to a POST of `body`."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(
        f"https://{host}:{port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}",
            "Content-Type": "application/json",
        },
    )
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=LIMIT_S, context=trusted) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def main() -> None:
    """Make the night's RayJob, or find it there."""
    rayjobs = f"/apis/ray.io/v1/namespaces/{os.environ['NAMESPACE']}/rayjobs"
    night = rayjob_of(
        ask(f"{rayjobs}/{os.environ['TEMPLATE']}"),
        job_name=os.environ["JOB_NAME"],
        job_uid=os.environ["JOB_UID"],
        suite=os.environ["SUITE"],
    )
    name, date = night["metadata"]["name"], night["metadata"]["labels"]["scheduled-date"]
    try:
        ask(rayjobs, body=night)
    except urllib.error.HTTPError as refused:
        if refused.code != ALREADY_THERE:
            raise
        there = ask(f"{rayjobs}/{name}")["metadata"].get("labels", {}).get("scheduled-date")
        if there != date:
            raise SystemExit(f"the RayJob {name} is there and is not of {date} (scheduled-date: {there})") from None
        sys.stdout.write(f"{name} is there already\n")
        return
    sys.stdout.write(f"{name} made: {night['spec']['entrypoint']}\n")


if __name__ == "__main__":
    main()
