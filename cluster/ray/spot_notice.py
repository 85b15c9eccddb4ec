"""Waits for EC2's notice that this spot machine will be taken away, and drains its Ray node then.

Ray does not look for the notice itself. A drained node gets no new actor, and Ray's autoscaler does not count on it
any more; what its actors are at goes on until the machine stops. Started by `cluster/ray/aws.yaml` on each worker;
on a machine that is not spot no notice comes. Needs Ray's command line on the PATH.
"""

import datetime
import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

METADATA = os.environ.get("EC2_METADATA", "http://169.254.169.254")
PERIOD_S = float(os.environ.get("EC2_NOTICE_PERIOD_S", "5"))
LIMIT_S = 5
# Link-local: never through a proxy.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(path: str, *, method: str = "GET", headers: dict[str, str]) -> str:
    """The metadata service's answer (version 2 of its protocol)."""
    request = urllib.request.Request(f"{METADATA}/latest/{path}", method=method, headers=headers)
    with DIRECT.open(request, timeout=LIMIT_S) as answer:
        text: str = answer.read().decode()
    return text


def notice() -> dict[str, str] | None:
    """What will be done to the machine and when (`action`, `time`); None while nothing will."""
    token = ask("api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    try:
        found: dict[str, str] = json.loads(
            ask("meta-data/spot/instance-action", headers={"X-aws-ec2-metadata-token": token})
        )
    except urllib.error.HTTPError as missing:
        if missing.code == http.client.NOT_FOUND:
            return None
        raise
    return found


def seconds_left(told: dict[str, str], *, now: datetime.datetime) -> int:
    """Seconds until the machine is taken away, never below 0."""
    return max(0, int((datetime.datetime.fromisoformat(told["time"]) - now).total_seconds()))


def main() -> int:
    """Wait for the notice and drain; the exit code of `ray drain-node`."""
    while True:
        try:
            told = notice()
        except (OSError, ValueError) as unheard:
            sys.stderr.write(f"no answer from {METADATA}: {unheard}\n")
            told = None
        if told is not None:
            break
        time.sleep(PERIOD_S)
    left_s = seconds_left(told, now=datetime.datetime.now(datetime.UTC))
    message = f"spot machine: {told['action']} at {told['time']}"
    sys.stderr.write(f"{message}; draining this node\n")
    reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", message]
    return subprocess.run(
        ["ray", "drain-node", "--address", "auto", *reason, "--deadline-remaining-seconds", str(left_s)], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
