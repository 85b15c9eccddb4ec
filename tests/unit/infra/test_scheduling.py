"""What starts a night: the script, with a client that fails as told, and each form as its own tool reads it."""

import datetime
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from crontab import CronTab

ROOT = Path(__file__).parents[3]
SCHEDULING = ROOT / "infra" / "scheduling"
BIN = Path(sys.executable).parent
CLIENT = """\
#!/bin/sh
echo "$@" >> "$SEEN"
code=$(sed -n "$(wc -l < "$SEEN")p" "$CODES")
echo "in the job: Job entrypoint command failed with exit code 77"
[ "$code" != 0 ] || { echo "Job 'raysubmit_1' succeeded" >&2; exit 0; }
[ "$code" = lost ] || echo "INFO -- Status message: Job entrypoint command failed with exit code $code, last" >&2
exit 1
"""

Night = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Runs night.sh while Ray's client ends as told, one code a call; gives the code, and what the client was asked."""

    def run(*arguments: str, codes: str, **settings: str) -> tuple[int, list[str]]:
        (tmp_path / "ray").write_text(CLIENT)
        (tmp_path / "ray").chmod(0o755)
        (tmp_path / "codes").write_text("\n".join(codes.split()) + "\n")
        environment = os.environ | {
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "SEEN": str(tmp_path / "seen"),
            "CODES": str(tmp_path / "codes"),
            "PAUSE": "0",
        }
        command = [str(SCHEDULING / "night.sh"), *arguments]
        done = subprocess.run(command, env=environment | settings, capture_output=True, text=True, timeout=30)
        seen = tmp_path / "seen"
        return done.returncode, seen.read_text().splitlines() if seen.exists() else []

    return run


@pytest.mark.parametrize("code", [0, 1, 2, 3, 5])
def test_the_nights_own_code_and_no_second_try(night: Night, code: int) -> None:
    assert night("qa.yaml", "--date", "2026-11-24", codes=f"{code} 0") == (
        code,
        [f"job submit --working-dir {ROOT} -- python -m jobs.nightly qa.yaml --date 2026-11-24"],
    )


@pytest.mark.parametrize(
    ("codes", "ends_with", "tries"),
    [("4 0", 0, 2), ("lost 1", 1, 2), ("4 4 4 0", 4, 3), ("lost lost lost 0", 4, 3)],
)
def test_an_incomplete_night_is_submitted_again(night: Night, codes: str, ends_with: int, tries: int) -> None:
    code, seen = night("qa.yaml", codes=codes)
    assert (code, len(seen), len(set(seen))) == (ends_with, tries, 1)


def test_the_date_is_todays_in_utc_and_settled_once(night: Night, tmp_path: Path) -> None:
    """A clock that is past midnight at the second try, and a zone in which it is tomorrow already."""
    clock = '[ "$*" = "-u +%F" ] && [ ! -s "$SEEN" ] && echo 2026-11-23 || echo later'
    (tmp_path / "date").write_text(f"#!/bin/sh\n{clock}\n")
    (tmp_path / "date").chmod(0o755)
    code, seen = night("qa.yaml", "--set", "output=s3://b/o", codes="4 0", TZ="Pacific/Kiritimati")
    assert code == 0
    assert {line.partition("jobs.nightly ")[2] for line in seen} == {"qa.yaml --set output=s3://b/o --date 2026-11-23"}


def test_a_date_that_is_given_in_one_word_is_the_only_one(night: Night) -> None:
    code, [line] = night("qa.yaml", "--date=2026-11-20", codes="0")
    assert code == 0
    assert line.partition("jobs.nightly ")[2] == "qa.yaml --date=2026-11-20"


def test_misuse_is_code_2(night: Night) -> None:
    assert night(codes="0") == (2, [])


@pytest.mark.parametrize("path", ["infra/scheduling/night.sh", ".ci/system_packages"])
def test_shell_scripts_have_no_fault_that_a_linter_knows(path: str) -> None:
    done = subprocess.run([BIN / "shellcheck", ROOT / path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_crontab_is_one() -> None:
    [entry] = list(CronTab(tabfile=str(SCHEDULING / "crontab")))
    assert entry.is_valid()
    settings = entry.env.all()
    assert (str(entry.slices), settings["CRON_TZ"]) == ("0 2 * * *", "UTC")
    assert set(re.findall(r"\$(\w+)", entry.command)) <= set(settings)
    assert "%" not in entry.command  # a line's end, to cron
    assert entry.command == ". $ENVIRONMENT && $HALLUC_RAY/infra/scheduling/night.sh $NIGHT"
    assert os.access(SCHEDULING / "night.sh", os.X_OK)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_systemd_accepts_unit_and_timer(tmp_path: Path) -> None:
    """With the place of this repository in theirs; it also looks whether what they start is there."""
    for name in ("halluc-ray-night.service", "halluc-ray-night.timer"):
        (tmp_path / name).write_text((SCHEDULING / name).read_text().replace("/opt/halluc_ray", str(ROOT)))
    done = subprocess.run(
        ["systemd-analyze", "verify", *sorted(tmp_path.iterdir())], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    [schedule] = re.findall(r"OnCalendar=(.*)", (tmp_path / "halluc-ray-night.timer").read_text())
    command = ["systemd-analyze", "calendar", "--base-time=2026-11-23 00:00:00 UTC", schedule]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"TZ": "UTC"})
    assert "Next elapse: Mon 2026-11-23 02:00:00 UTC" in done.stdout


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    # BaseLoader: `on` is no truth value here
    return dict(yaml.load((SCHEDULING / "github-actions.yml").read_text(), Loader=yaml.BaseLoader))


def test_the_workflow_has_the_published_shape(tmp_path: Path) -> None:
    path = SCHEDULING / "github-actions.yml"
    command = [BIN / "check-jsonschema", "--builtin-schema"]
    for schema in ("vendor.github-workflows", "custom.github-workflows-require-timeout"):
        done = subprocess.run([*command, schema, path], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout
    broken = tmp_path / "broken.yml"
    broken.write_text(path.read_text().replace("runs-on:", "run-on:"))
    assert (
        subprocess.run([*command, "vendor.github-workflows", broken], capture_output=True, timeout=60).returncode == 1
    )


def test_the_workflow_runs_one_night_at_a_time_at_the_hour_of_the_others(workflow: dict[str, Any]) -> None:
    assert workflow["concurrency"]["cancel-in-progress"] == "false"
    [times] = workflow["on"]["schedule"]
    [entry] = list(CronTab(tabfile=str(SCHEDULING / "crontab")))
    assert times["cron"] == str(entry.slices)
    assert "date" in workflow["on"]["workflow_dispatch"]["inputs"]


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_the_workflows_scripts_have_no_fault_and_take_no_text_from_outside(workflow: dict[str, Any]) -> None:
    scripts = [step["run"] for step in steps(workflow) if "run" in step]
    assert len(scripts) > 3
    for script in scripts:
        assert "${{" not in script  # what a person typed is read from the environment, never as code
        done = subprocess.run(
            [BIN / "shellcheck", "--shell=bash", "-"], input=script, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("given", "date"), [("2026-11-20", "2026-11-20"), ("", "2026-11-24")])
def test_the_workflows_date_is_the_one_given_or_that_of_its_creation(
    workflow: dict[str, Any], tmp_path: Path, given: str, date: str
) -> None:
    [step] = [step for step in steps(workflow) if step.get("id") == "scheduled"]
    (tmp_path / "gh").write_text("#!/bin/sh\necho 2026-11-24\n")
    (tmp_path / "gh").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "GIVEN": given,
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_RUN_ID": "7",
    }
    subprocess.run(["bash", "-e", "-c", step["run"]], env=environment, check=True, timeout=30)
    assert (tmp_path / "output").read_text() == f"date={date}\n"
    datetime.date.fromisoformat(date)
