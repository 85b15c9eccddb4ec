"""The command line as a user meets it: real processes, embedded Ray, a local store."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COMMAND = Path(sys.executable).with_name("halluc-ray")
SPEC = """\
corpus:
  uri: corpus
  columns: {id: id, response: response, reference: reference}
systems: [{kind: recorded, name_from: model}]
indicators: [{kind: answer_mismatch, mode: exact}]
slices: [lang]
"""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def write_corpus(folder: Path, *, rows: int, nulls: int = 0) -> None:
    """Model `right` is always right; model `wrong` is wrong in one row of four."""
    folder.mkdir(parents=True)
    answers = ["Paris" if k % 2 or k % 4 == 0 else "Rome" for k in range(rows)]
    columns = {
        "id": [f"q{k}" for k in range(rows)],
        "model": ["right" if k % 2 else "wrong" for k in range(rows)],
        "lang": ["en" if k % 3 else "fr" for k in range(rows)],
        "reference": ["Paris"] * rows,
        "response": [None if k < nulls else answer for k, answer in enumerate(answers)],
    }
    pq.write_table(pa.table(columns), folder / "part-0.parquet")


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "RAY_"))}
    return {**kept, "COLUMNS": "120", "HALLUC_RAY_CACHE": "cache"}


def halluc_ray(*arguments: str, cwd: Path) -> Done:
    done = subprocess.run(
        [COMMAND, *arguments], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    write_corpus(folder / "corpus", rows=400)
    (folder / "night.yaml").write_text(SPEC, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def first(here):
    return halluc_ray("run", "night.yaml", "--set", "engine.actors=1", cwd=here)


@pytest.fixture(scope="module")
def run_uri(first):
    found = re.search(r"Run +(\S+)", first.out)
    assert found, first
    return found.group(1)


def test_a_run_prints_progress_rates_and_where_the_report_is(first, here):
    assert first.code == 0, first
    assert re.search(r"\[ +\d+\.\d s\] .*400/400 rows", first.out)
    assert re.search(r"wrong +answer_mismatch +200 +50\.0 % +43\.1 % to 56\.9 % +100\.0 %", first.out)
    assert re.search(r"right +answer_mismatch +200 +0\.0 %", first.out)
    assert re.search(r"fr +wrong", first.out)
    html = re.search(r"Report +(\S+)", first.out)
    assert html
    assert (here / html.group(1)).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_second_run_computes_nothing_and_says_so(first, here):
    again = halluc_ray("run", "night.yaml", cwd=here)
    assert again.code == 0, again
    assert "Nothing to compute: the one shard was committed before" in again.out
    assert "starting actors" not in again.out


@pytest.mark.parametrize("by_uri", [False, True])
def test_status_and_report_of_a_run_by_spec_and_by_uri(run_uri, here, by_uri):
    target = run_uri if by_uri else "night.yaml"
    status = halluc_ray("status", target, cwd=here)
    assert status.code == 0, status
    assert "400/400 rows" in status.out
    page = here / run_uri / "report.html"
    before = page.read_bytes()
    page.unlink()
    report = halluc_ray("report", target, cwd=here)
    assert report.code == 0, report
    assert page.read_bytes() == before


def test_plan_says_what_is_left(first, here):
    planned = halluc_ray("plan", "night.yaml", cwd=here)
    assert planned.code == 0, planned
    assert re.search(r"score +answer_mismatch +1 +1 +0", planned.out)
    fewer = halluc_ray("plan", "night.yaml", "--set", "indicators.0.mode=contains", cwd=here)
    assert re.search(r"score +answer_mismatch +1 +0 +400", fewer.out), fewer


def test_samples(first, here):
    arguments = ("samples", "night.yaml", "--where", "answer_mismatch = 'hallucinated'", "--limit", "3")
    found = halluc_ray(*arguments, "--json", cwd=here)
    assert found.code == 0, found
    rows = [json.loads(line) for line in found.out.splitlines()]
    assert len(rows) == 3
    assert all("Rome" in row.values() for row in rows)
    assert halluc_ray(*arguments, cwd=here).out.endswith("3 rows; there may be more: raise --limit\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "nite.yaml"), "no spec at nite.yaml"),
        (("run", "night.yaml", "--set", "engine.actor=1"), "did you mean 'actors'?"),
        (("run", "night.yaml", "--set", "indicators.0.kind=answer_missmatch"), "answer_mismatch"),
        (("plan", "night.yaml", "--set", "corpus.where=lnag = 'en'"), "did you mean 'lang'?"),
        (("run", "night.yaml", "--set", "corpus.uri=nowhere"), "nowhere"),
        (("status", "./out/runs/0123456789abcdef"), "0123456789abcdef"),
        (("status", "night.yaml", "--set", "confidence=0.9"), "night.yaml|no run"),
    ],
)
def test_bad_specs_and_input_end_with_2_and_one_message(here, first, arguments, named):
    done = halluc_ray(*arguments, cwd=here)
    assert done.code == 2, done
    assert done.err.startswith("error: ")
    assert any(part in done.err for part in named.split("|")), done
    assert "Traceback" not in done.err


def test_more_failures_than_allowed_end_with_3_and_a_live_bar_on_a_terminal(tmp_path):
    write_corpus(tmp_path / "corpus", rows=40, nulls=3)
    (tmp_path / "s.yaml").write_text(SPEC, encoding="utf-8")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "run", "s.yaml"],
        cwd=tmp_path,
        env=environment() | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # how Linux says that the other end was closed
        pass
    os.close(ours)
    text = shown.decode()
    assert process.wait(timeout=60) == 3, text
    assert "100%" in text
    assert "\x1b[1A" in text, "the bar is redrawn in place"
    assert re.search(r"7\.5 % of the rows failed, max_failed allows 1 %; reasons: null_response \d+;", text)


def test_a_terminated_run_is_incomplete_and_the_same_command_resumes(tmp_path):
    write_corpus(tmp_path / "corpus", rows=1000)
    (tmp_path / "s.yaml").write_text(SPEC + "engine: {actors: 1, shard_rows: 5}\n", encoding="utf-8")
    process = subprocess.Popen(
        [COMMAND, "run", "s.yaml"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(r"\] [1-9]\d*/200 shards", line):
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert "the same command resumes" in err
    assert "Traceback" not in err
    again = halluc_ray("run", "s.yaml", cwd=tmp_path)
    assert again.code == 0, again
    assert re.search(r"[1-9]\d* of 200 shards computed; [1-9]\d* were committed before", again.out)
